internal import Cameras
internal import RTP
internal import Reactor

/// What the thread of a camera posts through to its loop. It never waits: when the loop is behind, pictures are dropped,
/// and after one was, all up to the next key picture.
///
/// Belongs to one thread.
final class Outlet {
  /// Pictures that may lie between the threads.
  static let pictures = 32
  /// Besides pictures: a change of format, and the end, which has its place from the beginning.
  static func mailbox() -> Mailbox<SourceNews> {
    let box = Mailbox<SourceNews>(capacity: pictures + 2, isWaitedFor: false)
    let hasRoom = box.reserve()
    precondition(hasRoom, "an empty mailbox had no room")
    return box
  }

  private let box: Mailbox<SourceNews>
  /// What will be heard beside the pictures.
  private let sound: SourceFormat.Sound?
  private var format: SourceFormat?
  private var isTold = false
  /// A picture was dropped: what is not a key picture is of no use any more.
  private(set) var wantsKey = false

  init(_ box: Mailbox<SourceNews>, sound: SourceFormat.Sound?) {
    self.box = box
    self.sound = sound
  }

  func begin(_ format: SourceFormat) {
    var format = format
    format.sound = sound
    guard format != self.format else { return }
    self.format = format
    isTold = false
    wantsKey = true
  }

  func post(_ picture: AccessUnit) {
    guard picture.isKey || !wantsKey else { return }
    if !isTold, let format {
      guard box.reserve() else { return }
      box.post(.began(format))
      isTold = true
    }
    guard box.reserve() else {
      wantsKey = true
      return
    }
    box.post(.picture(picture))
    wantsKey = false
  }

  /// The last word.
  func end(_ fault: SourceFault) { box.post(.ended(fault)) }
}
