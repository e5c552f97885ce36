// The pictures of one camera, packetised once for everybody who looks.
//
// Responsible for: the newest group of pictures, from a key picture to the last one, so that whoever comes can begin at
// once; the parameter sets; when a key picture was asked for.
// Assumes that pictures come in decoding order, and that after a loss the next one is a key picture.
// Somebody else's: where pictures come from (cameras), who looks (Viewer.swift), how they leave (Viewing.swift).

package import RTP
package import Wire

/// Names one feed of a plane.
package struct FeedID: Hashable, Sendable {
  package let handle: Handle

  package init(_ handle: Handle) { self.handle = handle }

  package static let none = FeedID(.none)
}

package typealias FeedCoding = PictureCoding

/// What passed through a feed since it was opened.
package struct FeedStatistics: Hashable, Sendable {
  /// Who looks now.
  package var viewers = 0
  package var pictures: UInt64 = 0
  package var keyPictures: UInt64 = 0
  package var bytes: UInt64 = 0
  /// Viewers that began, or began again, with the group of pictures that lay here.
  package var joins: UInt64 = 0
  /// Viewers that had to wait for a key picture.
  package var waits: UInt64 = 0
  /// How often the source was asked for a key picture.
  package var requests: UInt64 = 0
  /// Pictures that are shown in another order than they come: browsers cannot.
  package var reordered: UInt64 = 0
  /// What lies here for whoever comes.
  package var cachedPictures = 0
  package var cachedBytes = 0

  package init() {}
}

final class Feed {
  /// What is kept for whoever comes. A longer group is not worth sending: a new key picture is.
  private static let pictureLimit = 900
  private static let byteLimit = 8 << 20
  /// Where the encoder makes a key picture at once, a short group alone is quicker.
  private static let shortGroup = 30
  private static let shortBytes = 256 << 10
  /// Who cannot decode is sent no more than that without the camera being asked for a key picture besides.
  private static let longGroup = 100

  let id: FeedID
  private(set) var coding: FeedCoding
  /// The source makes a key picture as soon as it is asked.
  let isInstant: Bool
  var viewers: [Viewer] = []
  var statistics = FeedStatistics()

  /// From the newest key picture on, without a gap; empty when there is none, or it grew too long.
  private(set) var group: [PicturePackets] = []
  private(set) var groupBytes = 0
  private(set) var newestKey: AccessUnit?
  private let packetizer = PicturePacketizer()

  // The clock of the feed runs on when the source's begins anew.
  private var offset: UInt32 = 0
  private var newest: (timestamp: UInt32, source: UInt32, captured: Instant)?

  // Asking for key pictures.
  var lastRequest: Instant?
  var requestTimer: Handle?

  /// A SIP leg whose pictures these are.
  var source: Stream?
  /// Opened for the browsers of a call, and gone with it.
  var isOfCall = false

  // Sound.
  var sound: FeedSound?

  // What the source was last told of the rate.
  var rate: Int?
  var rateTold: Instant?

  init(_ id: FeedID, _ coding: FeedCoding, isInstant: Bool) {
    self.id = id
    self.coding = coding
    self.isInstant = isInstant
  }

  /// True when the viewers of before cannot go on without a key picture.
  func set(_ new: FeedCoding) -> Bool {
    guard new != coding else { return false }
    coding = new
    forget()
    return true
  }

  /// Nobody can begin with what lies here any more.
  func forget() {
    group.removeAll()
    groupBytes = 0
    newestKey = nil
  }

  /// Whether a newcomer is served best by what lies here.
  var mayReplay: Bool {
    guard !group.isEmpty else { return false }
    return !isInstant || group.count <= Feed.shortGroup && groupBytes <= Feed.shortBytes
  }

  /// Whether whoever begins has many pictures to catch up with.
  var isLong: Bool { group.count > Feed.longGroup }

  /// Takes the next picture in: what is to be sent of it.
  func take(_ unit: AccessUnit) -> PicturePackets {
    var unit = unit
    if case .h264(let known) = coding {
      if unit.isKey { unit = complete(unit, known) }
      if unit.hasBidirectionalSlices { statistics.reordered += 1 }
    }
    let packets = packetizer.packetize(unit, as: coding, timestamp: stamp(unit))
    statistics.pictures += 1
    statistics.bytes += UInt64(packets.size)
    if unit.isKey {
      statistics.keyPictures += 1
      newestKey = unit
      group.removeAll(keepingCapacity: true)
      groupBytes = 0
    }
    guard unit.isKey || !group.isEmpty else { return packets }
    group.append(packets)
    groupBytes += packets.size
    if group.count > Feed.pictureLimit || groupBytes > Feed.byteLimit {
      group.removeAll()
      groupBytes = 0
    }
    return packets
  }

  /// A key picture with parameter sets in it, and what they say taken note of.
  private func complete(_ unit: AccessUnit, _ known: H264Parameters?) -> AccessUnit {
    let sets = unit.parameterSets
    let sps = sets.last { $0[0] & 0x1F == 7 }
    let pps = sets.first { $0[0] & 0x1F == 8 }
    if let sps, let pps {
      if sps != known?.sps || pps != known?.pps, let read = H264Parameters(sps: sps, pps: pps) {
        coding = .h264(read)
      }
      return unit
    }
    return known.map { unit.adding(sps: $0.sps, pps: $0.pps) } ?? unit
  }

  /// The feed's own timestamp: the source's, carried on where that jumps.
  private func stamp(_ unit: AccessUnit) -> UInt32 {
    defer { newest = (unit.timestamp &+ offset, unit.timestamp, unit.captured) }
    guard let newest else { return unit.timestamp &+ offset }
    let step = Int64(Int32(bitPattern: unit.timestamp &- newest.source))
    let passed = max(0, (unit.captured - newest.captured).nanoseconds) / 1000 * 90 / 1000
    // Ten seconds beside the clock of the pictures, or backwards, is another clock.
    if step <= 0 || abs(step - passed) > 900_000 {
      offset = newest.timestamp &+ UInt32(truncatingIfNeeded: max(1, min(passed, 900_000))) &- unit.timestamp
    }
    return unit.timestamp &+ offset
  }
}
