package import Wire

// One WebSocket connection without the connection, after the opening handshake: bytes and the time go in; messages,
// and bytes to send, come out. RFC 6455, server and client.
//
// It is responsible for framing (masks, lengths, fragments with control frames between them), for text being UTF-8
// from the byte on that breaks it, for answering pings and Close, for asking a silent peer whether it lives, and for
// what a peer may cost. It assumes that whoever owns the connection takes the output, stops reading when output
// stays behind, tells of the connection's end, and closes it when `isFinished`. The handshake (`WebSocketHandshake`),
// TLS and the meaning of messages are somebody else's. Extensions are not spoken: compressed frames of strangers are
// where other implementations have had their holes, and SIP gains nothing from them.

package enum WebSocketRole: Sendable { case server, client }

/// What a message is made of.
package enum WebSocketKind: Sendable { case text, binary }

package enum WebSocketEnding: Hashable, Sendable {
  /// The peer closed; its code, nil when it gave none, and its words.
  case closedByPeer(WebSocketCloseCode?, reason: String)
  /// We closed, and the peer confirmed it or had its time.
  case closed
  /// The peer broke a rule or a limit.
  case failed(WebSocketFault)
  /// The connection ended without a word.
  case lost
}

package enum WebSocketEvent: Hashable, Sendable {
  /// A whole message. Text is UTF-8.
  case message(WebSocketKind, [UInt8])
  /// Nothing follows; told once.
  case ended(WebSocketEnding)
}

package struct WebSocketConnection: Sendable {
  private enum Phase: Sendable {
    /// Both may speak: becomes any other.
    case open
    /// We said Close; what the peer still says is read for its Close only: becomes `lingering` or `finished`.
    case closing
    /// All was said; what comes is thrown away until the deadline: becomes `finished`.
    case lingering
    /// To be closed once the output is sent.
    case finished
  }

  private let role: WebSocketRole
  private let limits: WebSocketLimits
  private var phase = Phase.open
  /// Draws the masks of a client.
  private var random: Random?

  // The frame being read.
  private var head: InlineArray<14, UInt8> = .init(repeating: 0)
  private var headCount = 0
  /// Bytes the head has; 2 until the second is known.
  private var headNeeded = 2
  private var opcode = WebSocketOpcode.continuation
  private var isFinal = false
  private var mask: WebSocketMask?
  private var left = 0
  private var isInPayload = false
  private var control: [UInt8] = []

  // The message being put together.
  private var kind: WebSocketKind?
  private var message: [UInt8] = []
  private var fragments = 0
  private var check = UTF8Check()

  private var output: [UInt8] = []
  /// Seldom more than one.
  private var events: [WebSocketEvent] = []
  /// What came behind a message that nobody has taken yet, from `unreadTaken` on.
  private var unread: [UInt8] = []
  private var unreadTaken = 0

  private var heard: Instant
  /// When the peer was asked whether it lives.
  private var asked: Instant?
  /// When the message or frame under way began.
  private var begun: Instant?
  /// The end of `closing` or `lingering`.
  private var deadline: Instant?

  /// `random` is a client's, for its masks.
  package init(
    _ role: WebSocketRole, limits: WebSocketLimits = WebSocketLimits(), random: Random? = nil, now: Instant
  ) {
    precondition(role == .server || random != nil, "a client must mask what it sends")
    self.role = role
    self.limits = limits
    self.random = role == .client ? random : nil
    heard = now
  }

  /// Whether messages may be sent.
  package var isOpen: Bool { if case .open = phase { true } else { false } }
  /// True when the connection should be closed once its output is sent.
  package var isFinished: Bool { if case .finished = phase { true } else { false } }

  // MARK: In

  package mutating func receive(_ bytes: Span<UInt8>, now: Instant) {
    guard !bytes.isEmpty else { return }
    heard = now
    asked = nil
    guard unread.isEmpty else {
      unread.append(0..<bytes.count, of: bytes)
      return
    }
    let taken = read(bytes)
    if taken < bytes.count { unread.append(taken..<bytes.count, of: bytes) }
  }

  /// Reads up to the end of the first message or of `bytes`; how many it used. What follows a message waits until
  /// that was taken, so that its reader may still answer before a Close behind it is obeyed.
  private mutating func read(_ bytes: Span<UInt8>, from start: Int = 0) -> Int {
    let now = heard
    var position = start
    do throws(WebSocketFault) {
      while position < bytes.count, events.isEmpty {
        switch phase {
        case .lingering, .finished: return bytes.count
        case .open, .closing: break
        }
        if isInPayload {
          let count = min(left, bytes.count - position)
          try take(bytes.extracting(position..<position + count))
          position += count
          if left == 0 { try endFrame(now) }
        } else {
          if headCount == 0, begun == nil { begun = now }
          head[headCount] = bytes[position]
          headCount += 1
          position += 1
          if headCount == 2 { try beginHead() }
          if headCount == headNeeded, headCount > 1 { try beginPayload(now) }
        }
      }
    } catch {
      fail(error, now)
    }
    return position
  }

  /// The peer, or the network, ended the connection. Messages that came before are to be taken first.
  package mutating func receivedEnd() {
    switch phase {
    case .open: end(.lost)
    case .closing: end(.closed)
    case .lingering, .finished: break
    }
    finish()
  }

  /// Acts on deadlines that have come.
  package mutating func advance(now: Instant) {
    switch phase {
    case .finished: break
    case .closing, .lingering:
      guard let deadline, deadline <= now else { return }
      if case .closing = phase { end(.closed) }
      finish()
    case .open:
      if let begun, begun + limits.messageTime <= now { return fail(.tooSlow, now) }
      guard let pingAfter = limits.pingAfter else { return }
      if let asked {
        if asked + limits.pongWithin <= now { fail(.silent, now) }
      } else if heard + pingAfter <= now {
        asked = now
        write(.ping, Span())
      }
    }
  }

  package var nextDeadline: Instant? {
    switch phase {
    case .finished: return nil
    case .closing, .lingering: return deadline
    case .open:
      let ping = limits.pingAfter.map { after in asked.map { $0 + limits.pongWithin } ?? heard + after }
      return .earlier(begun.map { $0 + limits.messageTime }, ping)
    }
  }

  // MARK: Out

  package mutating func next() -> WebSocketEvent? {
    if events.isEmpty, !unread.isEmpty {
      // Moved out and back: reading changes everything else of this value.
      let bytes = unread
      unread = []
      let taken = read(bytes.span, from: unreadTaken)
      if taken < bytes.count {
        unread = bytes
        unreadTaken = taken
      } else {
        unreadTaken = 0
      }
    }
    return events.isEmpty ? nil : events.removeFirst()
  }

  /// The bytes to send, each given once.
  package mutating func takeOutput() -> [UInt8] {
    defer { output = [] }
    return output
  }

  /// Sends a message, in frames of at most `fragment` bytes. False when the connection is closing, or the output
  /// has no room: nothing was taken then.
  @discardableResult
  package mutating func send(
    _ kind: WebSocketKind, _ payload: Span<UInt8>, inFragmentsOf fragment: Int = .max
  ) -> Bool {
    precondition(fragment > 0, "a fragment carries something")
    guard isOpen else { return false }
    let frames = payload.count / fragment + 1
    guard output.count + payload.count + frames * WebSocketFrame.longestHead <= limits.output else {
      return false
    }
    var opcode = kind == .text ? WebSocketOpcode.text : .binary
    var position = 0
    repeat {
      let end = payload.count - position > fragment ? position + fragment : payload.count
      write(opcode, isFinal: end == payload.count, payload.extracting(position..<end))
      opcode = .continuation
      position = end
    } while position < payload.count
    return true
  }

  /// Sends `payload` as text when it is UTF-8, else as binary (RFC 7118 section 5).
  @discardableResult
  package mutating func send(_ payload: Span<UInt8>) -> Bool {
    send(UTF8Check.holds(for: payload) ? .text : .binary, payload)
  }

  /// Asks the peer to close; `ended` follows. A reason is cut to what a control frame holds.
  package mutating func close(_ code: WebSocketCloseCode, reason: String = "", now: Instant) {
    guard isOpen else { return }
    precondition(code.maySay, "this code is not for the wire")
    writeClose(code, reason)
    drop()
    phase = .closing
    deadline = now + limits.closeTime
  }

  // MARK: Frames

  /// Judges the first two bytes of a frame.
  private mutating func beginHead() throws(WebSocketFault) {
    guard head[0] & 0x70 == 0 else { throw .reservedBits }
    guard let opcode = WebSocketOpcode(rawValue: head[0] & 15) else { throw .reservedOpcode(head[0] & 15) }
    self.opcode = opcode
    isFinal = head[0] & 0x80 != 0
    let isMasked = head[1] & 0x80 != 0
    switch role {
    case .server: guard isMasked else { throw .notMasked }
    case .client: guard !isMasked else { throw .masked }
    }
    let length = head[1] & 127
    switch opcode {
    case .close, .ping, .pong:
      guard isFinal else { throw .controlFragmented }
      guard length <= 125 else { throw .controlTooLong }
    case .continuation:
      guard kind != nil else { throw .nothingToContinue }
      guard fragments < limits.fragments else { throw .tooManyFragments }
    case .text, .binary: guard kind == nil else { throw .messageInterrupted }
    }
    headNeeded = 2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + (isMasked ? 4 : 0)
  }

  /// The head is whole.
  private mutating func beginPayload(_ now: Instant) throws(WebSocketFault) {
    var length = UInt64(head[1] & 127)
    var place = 2
    if length >= 126 {
      let bytes = length == 126 ? 2 : 8
      length = 0
      for _ in 0..<bytes {
        length = length << 8 | UInt64(head[place])
        place += 1
      }
      guard length > (bytes == 2 ? 125 : 0xFFFF), length >> 63 == 0 else { throw .malformedLength }
    }
    mask = nil
    if role == .server {
      var word: UInt32 = 0
      for offset in 0..<4 { word = word << 8 | UInt32(head[place + offset]) }
      mask = WebSocketMask(word)
    }
    guard length <= UInt64(limits.frame) else { throw .frameTooLong }
    left = Int(length)
    if !opcode.isControl {
      guard message.count + left <= limits.message else { throw .messageTooLong }
      if opcode != .continuation {
        kind = opcode == .text ? .text : .binary
        check = UTF8Check()
        fragments = 0
      }
      fragments += 1
    }
    isInPayload = true
    if left == 0 { try endFrame(now) }
  }

  /// Takes a part of the payload.
  private mutating func take(_ bytes: Span<UInt8>) throws(WebSocketFault) {
    left -= bytes.count
    if opcode.isControl {
      WebSocketConnection.append(bytes, under: &mask, to: &control)
      return
    }
    // After our own Close nobody reads messages any more; their frames are counted through.
    guard isOpen else { return }
    let start = message.count
    WebSocketConnection.append(bytes, under: &mask, to: &message)
    guard kind == .text else { return }
    var check = check
    guard check.accept(message.span.extracting(start..<message.count)) else { throw .notUTF8 }
    self.check = check
  }

  private static func append(_ bytes: Span<UInt8>, under mask: inout WebSocketMask?, to target: inout [UInt8])
  {
    if mask != nil {
      mask!.append(bytes, to: &target)
    } else {
      target.append(0..<bytes.count, of: bytes)
    }
  }

  private mutating func endFrame(_ now: Instant) throws(WebSocketFault) {
    isInPayload = false
    headCount = 0
    headNeeded = 2
    if opcode.isControl {
      let payload = control
      control = []
      if kind == nil { begun = nil }
      switch opcode {
      case .ping:
        if isOpen, output.count + payload.count + WebSocketFrame.longestHead <= limits.output {
          write(.pong, payload.span)
        }
      case .close: try closed(payload, now)
      case .pong, .continuation, .text, .binary: break
      }
      return
    }
    guard isFinal, let kind else { return }
    begun = nil
    self.kind = nil
    guard isOpen else { return }
    guard kind == .binary || check.isWhole else { throw .notUTF8 }
    let whole = message
    message = []
    events.append(.message(kind, whole))
  }

  /// The peer said Close.
  private mutating func closed(_ payload: [UInt8], _ now: Instant) throws(WebSocketFault) {
    guard payload.count != 1 else { throw .malformedClose }
    var code: WebSocketCloseCode?
    if payload.count >= 2 {
      let said = WebSocketCloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
      guard said.maySay else { throw .malformedClose }
      guard UTF8Check.holds(for: payload.span.extracting(2..<payload.count)) else { throw .notUTF8 }
      code = said
    }
    if isOpen {
      writeClose(code, "")
      end(.closedByPeer(code, reason: String(decoding: payload.dropFirst(2), as: UTF8.self)))
    } else {
      end(.closed)
    }
    drop()
    switch role {
    case .server: finish()
    case .client:
      // The server ends the connection (section 7.1.1); a client waits for that, a little.
      phase = .lingering
      deadline = now + limits.closeTime
    }
  }

  // MARK: Ending

  /// Says why, and takes nothing more.
  private mutating func fail(_ fault: WebSocketFault, _ now: Instant) {
    if isOpen {
      writeClose(fault.code, fault.description)
      end(.failed(fault))
    } else {
      end(.closed)
    }
    drop()
    phase = .lingering
    deadline = now + limits.lingerTime
  }

  private mutating func end(_ ending: WebSocketEnding) { events.append(.ended(ending)) }

  private mutating func finish() {
    drop()
    phase = .finished
    deadline = nil
  }

  /// Lets go of what was read by halves.
  private mutating func drop() {
    message = []
    begun = nil
    asked = nil
    unread = []
    unreadTaken = 0
  }

  // MARK: Writing

  private mutating func writeClose(_ code: WebSocketCloseCode?, _ reason: String) {
    var payload: [UInt8] = []
    if let code {
      payload = [UInt8(code.rawValue >> 8), UInt8(code.rawValue & 255)]
      for character in reason {
        let bytes = Array(character.utf8)
        guard payload.count + bytes.count <= 125 else { break }
        payload += bytes
      }
    }
    write(.close, payload.span)
  }

  private mutating func write(_ opcode: WebSocketOpcode, isFinal: Bool = true, _ payload: Span<UInt8>) {
    var mask: WebSocketMask?
    if role == .client, random != nil { mask = WebSocketMask(UInt32(truncatingIfNeeded: random!.next())) }
    WebSocketFrame.append(opcode, isFinal: isFinal, payload, mask: mask, to: &output)
  }
}
