internal import Wire

// Messages and packets on one connection (RFC 2326 sections 4 and 10.12): telling them apart, and reading heads by
// Wire's index. Responsible for limits on what a server may send, and for finding the way back after bytes that are
// nothing: cameras exist that write their log, or a packet too long, into the stream.

/// One message that a server sent, with the fields we look at.
struct RTSPMessage: Equatable {
  enum Start: Equatable {
    case response(status: Int, reason: String)
    case request(method: String)
  }
  var start: Start
  /// In the order in which they came.
  var fields: [(name: String, value: String)]
  var body: [UInt8]

  /// The first field of this name.
  subscript(name: String) -> String? {
    fields.first { ASCII.equalIgnoringCase($0.name, name) }?.value
  }

  func values(_ name: String) -> [String] {
    fields.filter { ASCII.equalIgnoringCase($0.name, name) }.map(\.value)
  }

  static func == (left: RTSPMessage, right: RTSPMessage) -> Bool {
    left.start == right.start && left.body == right.body
      && left.fields.elementsEqual(right.fields) { $0.name == $1.name && $0.value == $1.value }
  }
}

/// Why the stream of a server cannot be read on.
package enum RTSPFault: Error, Hashable, Sendable {
  /// A head that does not end, or has more fields than anyone needs.
  case endlessHead
  /// A head that is none.
  case malformedHead
  case bodyTooLong
  /// What came is not RTSP.
  case junk
}

/// Cuts a stream into messages and packets. Bytes are added with `append`; what `next` gives lies in `bytes` until then.
struct RTSPFramer {
  enum Piece: Equatable {
    case message(RTSPMessage)
    /// A packet on an interleaved channel, and where it lies in `bytes`.
    case packet(channel: UInt8, Range<Int>)
  }

  private(set) var bytes: [UInt8] = []
  private var place = 0
  private var search = HeadSearch()
  private var index = HeadIndex()
  private var head: (message: RTSPMessage, length: Int)?
  private var junk = 0
  /// Nothing that could be read has come yet: then there is no junk to be patient with.
  private var isFresh = true

  /// Whether everything that came was read.
  var isIdle: Bool { place == bytes.count && head == nil }

  mutating func append(_ more: Span<UInt8>) {
    if place > 0 {
      bytes.removeFirst(place)
      place = 0
    }
    bytes.append(0..<more.count, of: more)
  }

  /// The next piece; nil when more bytes are needed.
  mutating func next() throws(RTSPFault) -> Piece? {
    while true {
      if let (message, length) = head {
        guard bytes.count - place >= length else { return nil }
        head = nil
        var whole = message
        whole.body = Array(bytes[place..<place + length])
        place += length
        return .message(whole)
      }
      guard place < bytes.count else { return nil }
      let first = bytes[place]
      if first == UInt8(ascii: "$") {
        guard bytes.count - place >= 4 else { return nil }
        let length = Int(bytes[place + 2]) << 8 | Int(bytes[place + 3])
        // RTP and RTCP begin with their version, 2: anything else means that we are between packets.
        if length > 0 {
          guard bytes.count - place > 4 else { return nil }
          if bytes[place + 4] >> 6 != 2 {
            try skip()
            continue
          }
        }
        guard bytes.count - place >= 4 + length else { return nil }
        let range = place + 4..<place + 4 + length
        let channel = bytes[place + 1]
        place = range.upperBound
        junk = 0
        isFresh = false
        return .packet(channel: channel, range)
      }
      // Empty lines and zeros between messages are many a camera's habit.
      if ASCII.isLinearBlank(first) || first == 0 {
        place += 1
        junk += 1
        guard junk <= RTSPLimits.junk else { throw .junk }
        continue
      }
      guard beginsMessage() else {
        if bytes.count - place < RTSPFramer.longestName { return nil }
        try skip()
        continue
      }
      var search = self.search
      let end = search.end(in: bytes.span.extracting(place..<bytes.count))
      self.search = search
      guard let end else {
        guard bytes.count - place <= RTSPLimits.head.bytes else { throw .endlessHead }
        return nil
      }
      try readHead(end)
    }
  }

  private static let longestName = 14

  /// Whether a status line or a request line begins here; false also when too little has come to tell.
  private func beginsMessage() -> Bool {
    let part = bytes[place..<min(bytes.count, place + RTSPFramer.longestName)]
    if part.starts(with: "RTSP/".utf8) { return true }
    for method in [
      "OPTIONS ", "GET_PARAMETER ", "SET_PARAMETER ", "REDIRECT ", "ANNOUNCE ", "TEARDOWN ", "PLAY_NOTIFY ",
    ] {
      if part.starts(with: method.utf8) { return true }
    }
    return false
  }

  /// Goes on to the next byte that could begin something.
  private mutating func skip() throws(RTSPFault) {
    guard !isFresh else { throw .junk }
    search.restart()
    repeat {
      place += 1
      junk += 1
    } while place < bytes.count && bytes[place] != UInt8(ascii: "$") && bytes[place] != UInt8(ascii: "R")
    guard junk <= RTSPLimits.junk else { throw .junk }
  }

  private mutating func readHead(_ end: Int) throws(RTSPFault) {
    let part = Array(bytes[place..<place + end])
    search.restart()
    let isWhole: Bool
    do throws(HeadError) {
      isWhole = try index.index(part.span, limits: RTSPLimits.head)
    } catch {
      switch error {
      case .tooLong, .tooManyFields: throw RTSPFault.endlessHead
      case .emptyStartLine, .malformedField, .bareLineEnd: throw RTSPFault.malformedHead
      }
    }
    guard isWhole, let start = RTSPFramer.start(part[index.startLine]) else { throw .malformedHead }
    var fields: [(name: String, value: String)] = []
    for field in index.fields {
      let value = part[field.value].map { $0 < 32 ? 32 : $0 }
      fields.append(
        (String(decoding: part[field.name], as: UTF8.self), String(decoding: value, as: UTF8.self)))
    }
    let message = RTSPMessage(start: start, fields: fields, body: [])
    var length = 0
    if let text = message["Content-Length"] {
      guard let number = Int(text), number >= 0 else { throw .malformedHead }
      guard number <= RTSPLimits.message else { throw .bodyTooLong }
      length = number
    }
    place += end
    junk = 0
    isFresh = false
    head = (message, length)
  }

  private static func start(_ line: ArraySlice<UInt8>) -> RTSPMessage.Start? {
    let words = line.split(separator: 32, maxSplits: 2)
    guard words.count >= 2 else { return nil }
    if words[0].starts(with: "RTSP/".utf8) {
      guard words[1].count == 3, words[1].allSatisfy(ASCII.isDigit) else { return nil }
      let status = words[1].reduce(0) { $0 * 10 + Int($1 - 48) }
      guard (100...599).contains(status) else { return nil }
      return .response(
        status: status, reason: words.count > 2 ? String(decoding: words[2], as: UTF8.self) : "")
    }
    return .request(method: String(decoding: words[0], as: UTF8.self))
  }
}
