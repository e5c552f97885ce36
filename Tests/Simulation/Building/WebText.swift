import Wire

/// An HTTP answer as a browser of the simulated building reads it, by another hand than the gateway's: as it comes, in
/// pieces, with a length, in chunks or up to the end of the connection.
struct WebText {
  private(set) var status = 0
  /// Names in lower case.
  private(set) var fields: [(name: String, value: String)] = []
  /// As far as it has come.
  private(set) var body: [UInt8] = []
  private(set) var isWhole = false
  /// What nobody could read; nil while all is well.
  private(set) var broken: String?
  /// Bytes behind the head of an answer that opens another protocol.
  private(set) var behind: [UInt8] = []
  private var buffer: [UInt8] = []
  private var hasHead = false
  /// Of the body, or of the chunk under way; nil while none is known.
  private var left: Int?
  private var isChunked = false

  subscript(name: String) -> String { fields.first { $0.name == name }?.value ?? "" }

  mutating func take(_ bytes: [UInt8]) {
    buffer += bytes
    if !hasHead {
      guard let end = SIPText.headEnd(buffer), let head = SIPText(Array(buffer[..<(end + 2)])) else { return }
      guard head.start.hasPrefix("HTTP/1.1 ") else {
        broken = head.start
        return
      }
      status = Int(head.start.dropFirst(9).prefix(3)) ?? 0
      fields = head.fields
      buffer.removeFirst(end + 2)
      hasHead = true
      isChunked = self["transfer-encoding"] == "chunked"
      if status == 101 {
        behind = buffer
        isWhole = true
        return
      }
      if !isChunked { left = status == 204 ? 0 : Int(self["content-length"]) }
    }
    if isChunked { takeChunks() } else { takePlain() }
  }

  private mutating func takePlain() {
    body += buffer
    buffer = []
    if let left, body.count >= left { isWhole = true }
  }

  private mutating func takeChunks() {
    while !isWhole, broken == nil {
      if let size = left {
        guard buffer.count >= size + 2 else { return }
        body += buffer[..<size]
        buffer.removeFirst(size + 2)
        left = nil
        if size == 0 { isWhole = true }
      } else {
        guard let end = buffer.firstIndex(of: 13), end + 1 < buffer.count else { return }
        guard let size = Int(String(decoding: buffer[..<end], as: UTF8.self), radix: 16) else {
          broken = String(decoding: body.suffix(80) + [124] + buffer.prefix(300), as: UTF8.self)
          return
        }
        left = size
        buffer.removeFirst(end + 2)
      }
    }
  }

  /// The next event of a stream that has come whole: what stands behind `data: `.
  mutating func nextEvent() -> [UInt8]? {
    while let end = WebText.blank(body) {
      let text = String(decoding: body[..<end], as: UTF8.self)
      body.removeFirst(end + 2)
      var data = ""
      for line in text.split(separator: "\n") where line.hasPrefix("data: ") { data += line.dropFirst(6) }
      if !data.isEmpty { return Array(data.utf8) }
    }
    return nil
  }

  private static func blank(_ bytes: [UInt8]) -> Int? {
    var place = 0
    while place + 1 < bytes.count {
      if bytes[place] == 10, bytes[place + 1] == 10 { return place }
      place += 1
    }
    return nil
  }
}

/// A browser's end of a WebSocket that carries SIP, by another hand than the gateway's (RFC 6455, RFC 7118).
struct WebSocketText {
  private var answer = WebText()
  private var buffer: [UInt8] = []
  private(set) var isOpen = false
  /// Refused, closed, or against the rules.
  private(set) var isOver = false
  /// What must be said: a pong, or a Close.
  var out: [UInt8] = []

  static func request(_ host: String, path: String, _ dice: inout Random) -> [UInt8] {
    // 22 digits of base64 and two signs; the last digit carries no stray bits.
    let key = dice.hex(bytes: 10) + "AA=="
    return Array(
      ("GET \(path) HTTP/1.1\r\nHost: \(host)\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \(key)\r\nSec-WebSocket-Protocol: sip\r\n\r\n")
        .utf8)
  }

  /// A frame of a client.
  static func frame(_ opcode: UInt8, _ payload: [UInt8], _ dice: inout Random) -> [UInt8] {
    let mask = dice.bytes(4)
    var bytes: [UInt8] = [0x80 | opcode]
    if payload.count < 126 {
      bytes.append(0x80 | UInt8(payload.count))
    } else {
      bytes += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
    }
    bytes += mask
    for (place, byte) in payload.enumerated() { bytes.append(byte ^ mask[place & 3]) }
    return bytes
  }

  /// Whole messages that came.
  mutating func take(_ bytes: [UInt8], _ dice: inout Random) -> [[UInt8]] {
    if isOpen {
      buffer += bytes
    } else {
      answer.take(bytes)
      guard answer.isWhole || answer.broken != nil else { return [] }
      guard answer.status == 101, answer["sec-websocket-protocol"] == "sip" else {
        isOver = true
        return []
      }
      isOpen = true
      buffer = answer.behind
    }
    var messages: [[UInt8]] = []
    while let (opcode, payload) = cut() {
      switch opcode {
      case 1, 2: messages.append(payload)
      case 8:
        out += WebSocketText.frame(8, Array(payload.prefix(2)), &dice)
        isOver = true
      case 9: out += WebSocketText.frame(10, payload, &dice)
      case 10: break
      default: isOver = true
      }
    }
    return messages
  }

  /// The gateway never fragments and never masks.
  private mutating func cut() -> (UInt8, [UInt8])? {
    guard !isOver, buffer.count >= 2 else { return nil }
    guard buffer[0] & 0xF0 == 0x80, buffer[1] & 0x80 == 0 else {
      isOver = true
      return nil
    }
    var length = Int(buffer[1])
    var head = 2
    if length == 126 {
      guard buffer.count >= 4 else { return nil }
      length = Int(buffer[2]) << 8 | Int(buffer[3])
      head = 4
    } else if length == 127 {
      isOver = true
      return nil
    }
    guard buffer.count >= head + length else { return nil }
    let frame = (buffer[0] & 15, Array(buffer[head..<head + length]))
    buffer.removeFirst(head + length)
    return frame
  }
}
