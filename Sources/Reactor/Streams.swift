internal import CLinux
import Wire

/// A connected stream. It leaves the resident's hands at `flushing`: from there on it only ends well.
final class Stream {
  enum Phase {
    /// Wanted, not yet standing; may become `open`.
    case connecting
    /// In use; may become `flushing` or vanish.
    case open
    /// Closed by the resident: what is queued still leaves; becomes `lingering`.
    case flushing
    /// Our end is shut; what still comes is thrown away, so that the kernel sends no reset over our last words.
    case lingering
  }

  let descriptor: Descriptor
  var phase: Phase
  var local: Endpoint
  /// Bytes queued, `taken` of which the kernel has.
  var queue: [UInt8] = []
  var taken = 0
  var isReading = true
  /// The resident was told "not all has left": it wants `drained`.
  var owesDrained = false
  /// Queued bytes wait for the end of the turn.
  var isDirty = false
  /// What epoll was last asked to watch; nil while it watches nothing.
  var watched: UInt32?
  /// Ends `flushing` or `lingering` when the peer does not.
  var deadline = Handle.none

  init(descriptor: consuming Descriptor, phase: Phase, local: Endpoint) {
    self.descriptor = descriptor
    self.phase = phase
    self.local = local
  }

  var unsent: Int { queue.count - taken }

  /// What epoll should watch now.
  var interest: UInt32 {
    var result: UInt32 = 0
    if phase == .connecting || unsent > 0 { result |= Happening.writable }
    if phase == .lingering || (phase == .open && isReading) { result |= Happening.readable }
    return result
  }

  /// Hands the queue to the kernel; the failure that ended the stream, if one did.
  func flush() -> NetworkFailure? {
    isDirty = false
    guard phase != .connecting else { return nil }
    while unsent > 0 {
      let start = taken
      let outcome = unsafe queue.withUnsafeBufferPointer { bytes in
        unsafe clinux_write(descriptor.number, bytes.baseAddress! + start, bytes.count - start)
      }
      if outcome == -Int64(Errno.again) {
        // Kept from growing at both ends: what has left is cut off once it is the larger part.
        if taken > queue.count / 2 {
          queue.removeFirst(taken)
          taken = 0
        }
        return nil
      }
      guard outcome >= 0 else { return NetworkFailure(errno: Int32(-outcome)) }
      taken += Int(outcome)
    }
    // A burst's memory is given back, an ordinary exchange's is kept.
    queue.removeAll(keepingCapacity: queue.capacity <= 16_384)
    taken = 0
    return nil
  }
}

/// A listening socket, for the network or for a path.
final class Listener {
  let descriptor: Descriptor
  let local: Endpoint
  /// The path of a local listener, removed with it.
  let path: String?
  /// The group whose members may speak, of a local listener; -1 for none.
  let group: Int64
  /// Not watched for now: there was no descriptor left to accept with.
  var isPaused = false

  init(descriptor: consuming Descriptor, local: Endpoint, path: String?, group: Int64) {
    self.descriptor = descriptor
    self.local = local
    self.path = path
    self.group = group
  }

  deinit { if let path { unsafe clinux_unlink(path) } }

  /// Who is at the other end of a connection taken in by a local listener; nil when the kernel does not say.
  func peer(of connection: borrowing Descriptor) -> LocalPeer? {
    var process: Int32 = 0
    var user: UInt32 = 0
    var isInGroup: Int32 = 0
    guard unsafe clinux_peer(connection.number, group, &process, &user, &isInGroup) == 0 else { return nil }
    var name = [CChar](repeating: 0, count: 64)
    let isNamed = unsafe clinux_user_name(user, &name, name.count) == 0
    let text = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return LocalPeer(
      processID: process, userID: user, user: isNamed ? text : String(user),
      isPermitted: user == 0 || user == clinux_effective_user() || isInGroup != 0)
  }
}
