import Wire

/// A SIP message as a phone of the simulated building reads and writes it: text, by another hand than the
/// gateway's own parser and writer, and with none of its manners.
struct SIPText {
  var start = ""
  /// Names in lower case and their long form, values as written.
  var fields: [(name: String, value: String)] = []
  var body: [UInt8] = []

  init(start: String) { self.start = start }

  /// Nil when there is no head.
  init?(_ bytes: [UInt8]) {
    guard let end = SIPText.headEnd(bytes) else { return nil }
    var isFirst = true
    var line = 0
    while line < end {
      var stop = line
      while stop < end, bytes[stop] != 13 { stop += 1 }
      if isFirst {
        start = String(decoding: bytes[line..<stop], as: UTF8.self)
        isFirst = false
      } else {
        var colon = line
        while colon < stop, bytes[colon] != 58 { colon += 1 }
        guard colon < stop else { return nil }
        var from = colon + 1
        while from < stop, bytes[from] == 32 { from += 1 }
        let name = String(decoding: bytes[line..<colon], as: UTF8.self).lowercased()
        fields.append((SIPText.long(name), String(decoding: bytes[from..<stop], as: UTF8.self)))
      }
      line = stop + 2
    }
    body = Array(bytes[(end + 2)...])
  }

  /// Where the empty line begins that ends the head; nil when there is none yet.
  static func headEnd(_ bytes: [UInt8]) -> Int? {
    var place = 0
    while place + 3 < bytes.count {
      if bytes[place] == 13, bytes[place + 2] == 13, bytes[place + 1] == 10, bytes[place + 3] == 10 {
        return place + 2
      }
      place += 1
    }
    return nil
  }

  private static func long(_ name: String) -> String {
    switch name {
    case "v": "via"
    case "f": "from"
    case "t": "to"
    case "i": "call-id"
    case "m": "contact"
    case "l": "content-length"
    case "c": "content-type"
    default: name
    }
  }

  subscript(name: String) -> String { fields.first { $0.name == name }?.value ?? "" }
  func all(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

  mutating func add(_ name: String, _ value: String) { fields.append((name, value)) }

  /// The bytes on the wire, with the body's length.
  var written: [UInt8] {
    var text = start + "\r\n"
    for field in fields where field.name != "content-length" {
      text += field.name
      text += ": "
      text += field.value
      text += "\r\n"
    }
    text += "Content-Length: \(body.count)\r\n\r\n"
    return Array(text.utf8) + body
  }

  // MARK: What it says

  /// For people who read what happened.
  var summary: String { "\(start) [\(self["cseq"]) \(self["call-id"])] \(self["reason"])" }

  var isRequest: Bool { !start.hasPrefix("SIP/") }
  var method: String { String(start.prefix { $0 != " " }) }
  /// 0 for a request.
  var status: Int {
    guard !isRequest else { return 0 }
    return Int(start.dropFirst(8).prefix(3)) ?? 0
  }
  var cseq: Int { Int(self["cseq"].prefix { $0 != " " }) ?? 0 }
  var cseqMethod: String { String(self["cseq"].drop { $0 != " " }.dropFirst()) }
  var branch: String { SIPText.parameter("branch", of: self["via"]) ?? "" }

  static func tag(of value: String) -> String {
    // The tag is a parameter of the header, behind the address.
    guard let close = value.utf8.lastIndex(of: UInt8(ascii: ">")) else {
      return parameter("tag", of: value) ?? ""
    }
    return parameter("tag", of: String(value[close...])) ?? ""
  }

  /// The value of `;name=…`.
  static func parameter(_ name: String, of value: String) -> String? {
    let bytes = Array(value.utf8)
    let wanted = Array((";" + name + "=").utf8)
    var place = 0
    while place + wanted.count <= bytes.count {
      if bytes[place] == wanted[0], Array(bytes[place..<place + wanted.count]) == wanted {
        var end = place + wanted.count
        while end < bytes.count, bytes[end] != 59, bytes[end] != 62, bytes[end] != 44 { end += 1 }
        return String(decoding: bytes[place + wanted.count..<end], as: UTF8.self)
      }
      place += 1
    }
    return nil
  }

  /// What stands between the angle brackets.
  static func uri(of value: String) -> String {
    guard let open = value.utf8.firstIndex(of: UInt8(ascii: "<")),
      let close = value.utf8.lastIndex(of: UInt8(ascii: ">")), open < close
    else { return value }
    return String(value[value.utf8.index(after: open)..<close])
  }

  /// `401` of `<sip:401@vestibule.local>`.
  static func user(of value: String) -> String {
    let uri = uri(of: value)
    guard let at = uri.utf8.firstIndex(of: UInt8(ascii: "@")),
      let colon = uri.utf8.firstIndex(of: UInt8(ascii: ":")), colon < at
    else { return "" }
    return String(uri[uri.utf8.index(after: colon)..<at])
  }

  /// `name="value"` of a challenge.
  static func quoted(_ name: String, in value: String) -> String? {
    let parts = value.split(separator: "\"", omittingEmptySubsequences: false)
    var place = 0
    while place + 1 < parts.count {
      if parts[place].hasSuffix(name + "=") { return String(parts[place + 1]) }
      place += 2
    }
    return nil
  }
}

/// What a phone needs to know of a session description.
struct SoundPlan {
  var address: IPAddress?
  var port: UInt16 = 0
  var takesKeys = false
  var direction = "sendrecv"

  init(_ body: [UInt8]) {
    for line in String(decoding: body, as: UTF8.self).split(separator: "\r\n") {
      if line.hasPrefix("c=IN IP4 ") { address = IPAddress(String(line.dropFirst(9))) }
      if line.hasPrefix("m=audio ") {
        port = UInt16(line.dropFirst(8).prefix { $0 != " " }) ?? 0
      }
      if line.hasSuffix("telephone-event/8000") { takesKeys = true }
      if ["a=sendonly", "a=recvonly", "a=inactive"].contains(line) { direction = String(line.dropFirst(2)) }
    }
  }

  /// What answers this direction.
  var answering: String {
    switch direction {
    case "sendonly": "recvonly"
    case "recvonly": "sendonly"
    default: direction
    }
  }

  var endpoint: Endpoint? { address.flatMap { port == 0 ? nil : Endpoint($0, port: port) } }

  static func written(_ address: IPAddress, _ port: UInt16, version: Int, direction: String) -> [UInt8] {
    let lines = [
      "v=0", "o=- 77 \(version) IN IP4 \(address)", "s=-", "c=IN IP4 \(address)", "t=0 0",
      "m=audio \(port) RTP/AVP 8 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000",
      "a=fmtp:101 0-15", "a=\(direction)",
    ]
    return Array((lines.joined(separator: "\r\n") + "\r\n").utf8)
  }
}
