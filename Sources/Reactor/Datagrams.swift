internal import CLinux
import Wire

/// What passed through a datagram socket.
package struct DatagramStatistics: Sendable, Hashable {
  package var received: UInt64 = 0
  package var sent: UInt64 = 0
  /// Sends the kernel refused: no route, no room, too long.
  package var unsent: UInt64 = 0
  /// Datagrams the kernel dropped because we read too slowly.
  package var overflowed: UInt64 = 0
  /// System calls that read, and messages (one or many datagrams each) that were handed over.
  package var reads: UInt64 = 0
  package var handedOver: UInt64 = 0
}

/// A bound datagram socket and its share of the send pool.
final class DatagramSocket {
  let descriptor: Descriptor
  let local: Endpoint
  var statistics = DatagramStatistics()
  /// The kernel cuts a long message into datagrams for us.
  var segmentation: Bool
  /// First and last entry of the send pool that are for this socket; -1 for none.
  var head: Int32 = -1
  var tail: Int32 = -1
  /// What the kernel had no room for. Sent, in order, once it has.
  var backlog: [(bytes: [UInt8], to: Endpoint, source: IPAddress?)] = []
  /// Those before it are out.
  var backlogHead = 0
  var backlogBytes = 0
  /// What may be held back while the kernel has no room.
  let backlogLimit: Int
  /// The interface the last link-local guest came through: such an address means nothing without it.
  var linkScope: UInt32 = 0

  init(descriptor: consuming Descriptor, local: Endpoint, segmentation: Bool, backlogLimit: Int) {
    self.backlogLimit = max(backlogLimit, 256 * 1024)
    self.descriptor = descriptor
    self.local = local
    self.segmentation = segmentation
  }
}

/// Datagrams on their way out: copied once into one buffer, chained by socket, handed to the kernel in as few
/// calls as it takes. Runs of equal length to one destination become one segmented message (`UDP_SEGMENT`).
@safe  // Owns `bytes` and `sender`; lengths are checked where bytes go in.
struct SendPool: ~Copyable {
  private struct Entry {
    var offset: Int32
    var length: Int32
    var next: Int32
    var to: Endpoint
    var source: IPAddress?
  }

  /// A turn's worth; when it is full, what lies there leaves before the turn ends.
  private static let byteLimit = 1 << 20
  private static let entryLimit = 4096
  /// Messages and pieces of one system call.
  private static let messageLimit = 64
  private static let pieceLimit = 1024
  /// A segmented message: the kernel takes no more segments and bytes, and a segment must fit the link's frame.
  private static let segmentLimit = 64
  private static let segmentedBytes = 64_000
  private static let longestSegment = 1452

  private let bytes: UnsafeMutablePointer<UInt8>
  private let sender: OpaquePointer
  private var used = 0
  private var entries: [Entry] = []
  private var counts: [Int] = []

  init() {
    unsafe bytes = .allocate(capacity: SendPool.byteLimit)
    unsafe sender = clinux_sender_make(Int32(SendPool.messageLimit), Int32(SendPool.pieceLimit))
    entries.reserveCapacity(SendPool.entryLimit)
    counts.reserveCapacity(SendPool.messageLimit)
  }

  deinit {
    unsafe bytes.deallocate()
    unsafe clinux_sender_free(sender)
  }

  func hasRoom(for length: Int, datagrams: Int = 1) -> Bool {
    used + length <= SendPool.byteLimit && entries.count + datagrams <= SendPool.entryLimit
  }

  var isEmpty: Bool { entries.isEmpty }

  /// Adds a datagram behind the others of `socket`. The caller has seen that there is room.
  mutating func append(_ datagram: Span<UInt8>, for socket: DatagramSocket, to: Endpoint, source: IPAddress?)
  {
    let start = used
    copy(datagram)
    enter(from: start, for: socket, to: to, source: source)
  }

  /// Adds a datagram that lies in two pieces.
  mutating func append(
    _ head: Span<UInt8>, _ tail: Span<UInt8>, for socket: DatagramSocket, to: Endpoint, source: IPAddress?
  ) {
    let start = used
    copy(head)
    copy(tail)
    enter(from: start, for: socket, to: to, source: source)
  }

  /// Lends `room` bytes for a run of datagrams of one length. The caller has seen that there is room.
  mutating func append(
    run room: Int, of segment: Int, for socket: DatagramSocket, to: Endpoint, source: IPAddress?,
    _ write: (inout MutableSpan<UInt8>) -> Int
  ) {
    precondition(hasRoom(for: room, datagrams: room / max(1, segment) + 1), "the send pool is full")
    var span = unsafe MutableSpan<UInt8>(_unsafeStart: bytes + used, count: room)
    var rest = min(room, write(&span))
    while rest > 0 {
      let start = used
      used += min(max(1, segment), rest)
      rest -= used - start
      enter(from: start, for: socket, to: to, source: source)
    }
  }

  private mutating func copy(_ piece: Span<UInt8>) {
    precondition(hasRoom(for: piece.count), "the send pool is full")
    unsafe piece.withUnsafeBufferPointer { piece in
      guard let start = piece.baseAddress else { return }
      unsafe (bytes + used).update(from: start, count: piece.count)
    }
    used += piece.count
  }

  private mutating func enter(
    from start: Int, for socket: DatagramSocket, to: Endpoint, source: IPAddress?
  ) {
    let index = Int32(entries.count)
    entries.append(
      Entry(offset: Int32(start), length: Int32(used - start), next: -1, to: to, source: source))
    if socket.tail >= 0 { entries[Int(socket.tail)].next = index } else { socket.head = index }
    socket.tail = index
  }

  /// Forgets everything; every socket's chain must have been sent.
  mutating func removeAll() {
    entries.removeAll(keepingCapacity: true)
    used = 0
  }

  /// Sends the chain of `socket`. True when something had to be held back until the socket is writable.
  mutating func send(_ socket: DatagramSocket) -> Bool {
    var cursor = socket.head
    socket.head = -1
    socket.tail = -1
    // Datagrams that must go one by one, because the kernel would not cut them.
    var unmerged = 0
    if !socket.backlog.isEmpty {
      holdBack(from: cursor, socket)
      return true
    }
    while cursor >= 0 {
      compose(from: cursor, socket, unmerged: unmerged)
      socket.statistics.handedOver += UInt64(counts.count)
      let outcome = unsafe clinux_sender_go(sender, socket.descriptor.number, 0)
      if outcome > 0 {
        var datagrams = 0
        for index in 0..<Int(outcome) { datagrams += counts[index] }
        socket.statistics.sent += UInt64(datagrams)
        unmerged = max(0, unmerged - datagrams)
        for _ in 0..<datagrams { cursor = entries[Int(cursor)].next }
        continue
      }
      switch -outcome {
      case Errno.again:
        holdBack(from: cursor, socket)
        return true
      case let code where counts[0] > 1:
        // Some paths cannot cut (no checksum offload), some only not this length.
        if code == Errno.inputOutput || code == Errno.notSupported || code == Errno.noProtocolOption {
          socket.segmentation = false
        }
        unmerged = counts[0]
      default:
        socket.statistics.unsent += 1
        unmerged = max(0, unmerged - 1)
        cursor = entries[Int(cursor)].next
      }
    }
    return false
  }

  /// Sends what was held back. True when some of it must wait on.
  func sendBacklog(_ socket: DatagramSocket) -> Bool {
    while socket.backlogHead < socket.backlog.count {
      let first = socket.backlog[socket.backlogHead]
      unsafe clinux_sender_clear(sender)
      let outcome = unsafe first.bytes.withUnsafeBufferPointer { piece in
        begin(to: first.to, source: first.source, segment: 0, socket)
        if let start = piece.baseAddress { unsafe clinux_sender_add(sender, start, piece.count) }
        return unsafe clinux_sender_go(sender, socket.descriptor.number, 0)
      }
      if outcome == -Errno.again { return true }
      if outcome > 0 { socket.statistics.sent += 1 } else { socket.statistics.unsent += 1 }
      socket.backlogBytes -= first.bytes.count
      socket.backlogHead += 1
      if socket.backlogHead == 256 {
        socket.backlog.removeFirst(socket.backlogHead)
        socket.backlogHead = 0
      }
    }
    socket.backlog.removeAll()
    socket.backlogHead = 0
    return false
  }

  private mutating func compose(from start: Int32, _ socket: DatagramSocket, unmerged: Int) {
    unsafe clinux_sender_clear(sender)
    counts.removeAll(keepingCapacity: true)
    var cursor = start
    var pieces = 0
    var single = unmerged
    while cursor >= 0, counts.count < SendPool.messageLimit,
      pieces + SendPool.segmentLimit <= SendPool.pieceLimit
    {
      let first = entries[Int(cursor)]
      var run = 1
      var total = Int(first.length)
      var last = first
      let mayMerge =
        socket.segmentation && single == 0 && first.length > 0 && first.length <= SendPool.longestSegment
      // Only the last segment may be shorter.
      while mayMerge, run < SendPool.segmentLimit, last.next >= 0,
        last.length == first.length
      {
        let next = entries[Int(last.next)]
        guard next.length > 0, next.length <= first.length, next.to == first.to, next.source == first.source,
          total + Int(next.length) <= SendPool.segmentedBytes
        else { break }
        run += 1
        total += Int(next.length)
        last = next
      }
      begin(to: first.to, source: first.source, segment: run > 1 ? UInt16(first.length) : 0, socket)
      for _ in 0..<run {
        let entry = entries[Int(cursor)]
        unsafe clinux_sender_add(sender, bytes + Int(entry.offset), Int(entry.length))
        cursor = entry.next
      }
      pieces += run
      single = max(0, single - 1)
      counts.append(run)
    }
  }

  private func begin(to: Endpoint, source: IPAddress?, segment: UInt16, _ socket: DatagramSocket) {
    let scope = to.address.isLinkLocal && !to.address.isV4 ? socket.linkScope : 0
    let from = source.flatMap { $0.isUnspecified || $0.isV4 != to.address.isV4 ? nil : $0 }
    unsafe clinux_sender_begin(
      sender, to.raw(scope: scope), from == nil ? 0 : 1,
      Endpoint(from ?? .anyV6, port: 0).raw(), segment)
  }

  private func holdBack(from start: Int32, _ socket: DatagramSocket) {
    var cursor = start
    while cursor >= 0 {
      let entry = entries[Int(cursor)]
      cursor = entry.next
      guard socket.backlogBytes + Int(entry.length) <= socket.backlogLimit else {
        socket.statistics.unsent += 1
        continue
      }
      let datagram = unsafe [UInt8](
        UnsafeBufferPointer(start: bytes + Int(entry.offset), count: Int(entry.length)))
      socket.backlog.append((datagram, entry.to, entry.source))
      socket.backlogBytes += datagram.count
    }
  }
}

/// The pool that datagrams are read into: many at a time, coalesced ones cut again by whoever reads `slot`.
@safe  // Owns `raw`; the kernel's own counts bound every span.
struct ReceivePool: ~Copyable {
  /// Reads of one system call, and the room for each: the longest datagram, coalesced or not. Pages that nothing
  /// was read into are never mapped.
  static let slots = 32
  private static let slotBytes = 65_536

  private let raw: OpaquePointer

  init() { unsafe raw = clinux_receiver_make(Int32(ReceivePool.slots), ReceivePool.slotBytes) }

  deinit { unsafe clinux_receiver_free(raw) }

  /// Reads a batch; how many slots hold something, or -errno.
  func read(_ socket: DatagramSocket) -> Int32 {
    unsafe clinux_receiver_read(raw, socket.descriptor.number)
  }

  /// Lends every datagram of slot `index` to `body`, in order, with its two endpoints.
  func slot(_ index: Int, _ socket: DatagramSocket, _ body: (Span<UInt8>, Endpoint, Endpoint) -> Void) {
    let got = unsafe clinux_receiver_at(raw, Int32(index))
    let remote = Endpoint(unsafe got.from)
    let address = Endpoint(unsafe got.to).address
    let local = Endpoint(address.isUnspecified ? socket.local.address : address, port: socket.local.port)
    if remote.address.isLinkLocal { socket.linkScope = unsafe got.from.scope }
    let dropped = unsafe UInt64(got.dropped)
    if dropped > socket.statistics.overflowed { socket.statistics.overflowed = dropped }
    guard unsafe got.truncated == 0 else { return }
    let whole = unsafe UnsafeBufferPointer(start: got.bytes, count: Int(got.length))
    let segment = unsafe Int(got.segment)
    guard segment > 0, segment < whole.count else {
      socket.statistics.received += 1
      body(unsafe whole.span, remote, local)
      return
    }
    let span = unsafe whole.span
    var start = 0
    while start < span.count {
      let end = min(start + segment, span.count)
      socket.statistics.received += 1
      body(span.extracting(start..<end), remote, local)
      start = end
    }
  }
}
