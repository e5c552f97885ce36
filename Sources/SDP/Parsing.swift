internal import Wire

extension SessionDescription {
  /// Reads a description.
  ///
  /// Tolerated, because devices do it: LF or CR alone as line end, no end after the last line, blank lines and NUL
  /// bytes at the end, missing `s=` and `t=`, lines out of order within their part, several blanks between words,
  /// a user name with blanks in `o=`, an `m=` line without formats. Bytes that are no UTF-8 become U+FFFD.
  package init(parsing bytes: Span<UInt8>) throws(SDPError) {
    guard bytes.count <= SDPLimits.bytes else { throw .tooLong }
    var end = bytes.count
    while end > 0, bytes[end - 1] <= 32 { end -= 1 }
    var reader = LineReader(end: end)
    var origin: Origin?
    self.init(origin: Origin(id: 0, version: 0, address: .anyV4), timing: [])
    while let line = try reader.next(in: bytes) {
      if reader.number == 1 {
        guard line.type == UInt8(ascii: "v"), line.value.words == ["0"] else { throw .notVersionZero }
        continue
      }
      if line.type == UInt8(ascii: "m") {
        guard media.count < SDPLimits.media else { throw .tooManyMedia }
        media.append(try MediaDescription(line: line.value, number: reader.number))
      } else if media.isEmpty {
        switch line.type {
        case UInt8(ascii: "o"):
          if origin == nil { origin = try Origin(line: line.value, number: reader.number) }
        case UInt8(ascii: "s"): name = line.value
        case UInt8(ascii: "c"):
          if connection == nil {
            connection = try Connection(line: line.value, number: reader.number)
          } else {
            others.append(line)
          }
        case UInt8(ascii: "t"), UInt8(ascii: "r"), UInt8(ascii: "z"): timing.append(line)
        case UInt8(ascii: "a"): attributes.append(Attribute(line: line.value))
        default: others.append(line)
        }
      } else {
        try media[media.count - 1].add(line, number: reader.number)
      }
    }
    guard reader.number > 0 else { throw .notVersionZero }
    guard let origin else { throw .missingOrigin }
    self.origin = origin
    if timing.isEmpty { timing = [SDPLine(UInt8(ascii: "t"), "0 0")] }
  }

  package init(parsing bytes: [UInt8]) throws(SDPError) { try self.init(parsing: bytes.span) }

  /// The description on the wire: RFC 8866's order of lines, CRLF after each.
  package var bytes: [UInt8] {
    var writer = LineWriter()
    writer.line("v", "0")
    writer.line(
      "o",
      "\(origin.user) \(origin.id) \(origin.version) IN \(origin.addressType) \(origin.address)")
    writer.line("s", name.isEmpty ? "-" : name)
    writer.lines(others, of: "iuep")
    if let connection { writer.line("c", connection.text) }
    writer.lines(others, of: "cb")
    for line in timing { writer.line(line) }
    writer.lines(others, of: "k")
    writer.lines(others, except: "iuepcbk")
    for attribute in attributes { writer.line("a", attribute.text) }
    for stream in media {
      let count = stream.portCount.map { "/\($0)" } ?? ""
      let formats = stream.formats.isEmpty ? "0" : stream.formats.joined(separator: " ")
      writer.line("m", "\(stream.kind.word) \(stream.port)\(count) \(stream.proto) \(formats)")
      writer.lines(stream.others, of: "i")
      if let connection = stream.connection { writer.line("c", connection.text) }
      writer.lines(stream.others, of: "cbk")
      writer.lines(stream.others, except: "icbk")
      for attribute in stream.attributes { writer.line("a", attribute.text) }
    }
    return writer.bytes
  }
}

/// Cuts a description into lines.
private struct LineReader {
  private var position = 0
  private let end: Int
  /// The number of the line last given, from 1.
  private(set) var number = 0

  init(end: Int) { self.end = end }

  mutating func next(in bytes: Span<UInt8>) throws(SDPError) -> SDPLine? {
    while position < end {
      let start = position
      while position < end, bytes[position] != 10, bytes[position] != 13 { position += 1 }
      let stop = position
      if position < end {
        position += bytes[position] == 13 && position + 1 < end && bytes[position + 1] == 10 ? 2 : 1
      }
      if stop == start { continue }
      number += 1
      guard number <= SDPLimits.lines else { throw .tooManyLines }
      guard stop - start <= SDPLimits.lineBytes else { throw .lineTooLong(line: number) }
      guard stop - start >= 2, ASCII.isAlpha(bytes[start]), bytes[start + 1] == UInt8(ascii: "=") else {
        throw .malformedLine(line: number)
      }
      var value: [UInt8] = []
      value.reserveCapacity(stop - start - 2)
      for index in start + 2..<stop { value.append(bytes[index]) }
      return SDPLine(bytes[start], String(decoding: value, as: UTF8.self))
    }
    return nil
  }
}

/// Writes lines one after another.
private struct LineWriter {
  private(set) var bytes: [UInt8] = []

  init() { bytes.reserveCapacity(512) }

  mutating func line(_ type: Unicode.Scalar, _ value: String) {
    line(SDPLine(UInt8(ascii: type), value))
  }
  mutating func line(_ line: SDPLine) {
    bytes.append(line.type)
    bytes.append(UInt8(ascii: "="))
    bytes.append(contentsOf: line.value.utf8)
    bytes.append(13)
    bytes.append(10)
  }
  /// Those of `lines` whose letter is among `letters`, letter by letter, each in its own order.
  mutating func lines(_ lines: [SDPLine], of letters: String) {
    for letter in letters.utf8 {
      for line in lines where line.type == letter { self.line(line) }
    }
  }
  mutating func lines(_ lines: [SDPLine], except letters: String) {
    for line in lines where !letters.utf8.contains(line.type) { self.line(line) }
  }
}

extension String {
  /// Split at blanks, however many.
  fileprivate var words: [Substring] { split { $0 == " " || $0 == "\t" } }
}

extension Attribute {
  fileprivate init(line: String) {
    let halves = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(halves[0])
    // A blank after a bare flag is a device's habit; a value is kept to the letter.
    self.init(
      halves.count == 2 ? name : String(name.prefix { $0 != " " }),
      halves.count == 2 ? String(halves[1]) : nil)
  }

  fileprivate var text: String { value.map { "\(name):\($0)" } ?? name }
}

extension Origin {
  fileprivate init(line: String, number: Int) throws(SDPError) {
    let words = line.words
    guard words.count >= 6 else { throw .malformedOrigin(line: number) }
    let last = words.count - 1
    self.init(
      user: words[...(last - 5)].joined(separator: " "), id: String(words[last - 4]),
      version: String(words[last - 3]), addressType: String(words[last - 1]), address: String(words[last]))
  }
}

extension Connection {
  fileprivate init(line: String, number: Int) throws(SDPError) {
    let words = line.words
    guard words.count >= 3, words[0] == "IN", words[1] == "IP4" || words[1] == "IP6" else {
      throw .malformedConnection(line: number)
    }
    let address = words[2].prefix { $0 != "/" }
    guard !address.isEmpty else { throw .malformedConnection(line: number) }
    self.init(
      addressType: String(words[1]), address: String(address),
      suffix: String(words[2].dropFirst(address.count)))
  }

  fileprivate var text: String { "IN \(addressType) \(address)\(suffix)" }
}

extension MediaDescription {
  fileprivate init(line: String, number: Int) throws(SDPError) {
    let words = line.words
    guard words.count >= 3 else { throw .malformedMedia(line: number) }
    let ports = words[1].split(separator: "/", omittingEmptySubsequences: false)
    guard let port = UInt16(ports[0]) else { throw .malformedMedia(line: number) }
    var count: Int?
    if ports.count > 1 {
      guard ports.count == 2, let value = Int(ports[1]), value > 0 else {
        throw .malformedMedia(line: number)
      }
      count = value
    }
    guard words.count - 3 <= SDPLimits.formats else { throw .tooManyFormats(line: number) }
    self.init(
      kind: MediaKind(String(words[0])), port: port, portCount: count, proto: String(words[2]),
      formats: words[3...].map(String.init))
  }

  fileprivate mutating func add(_ line: SDPLine, number: Int) throws(SDPError) {
    switch line.type {
    case UInt8(ascii: "a"): attributes.append(Attribute(line: line.value))
    case UInt8(ascii: "c") where connection == nil:
      connection = try Connection(line: line.value, number: number)
    default: others.append(line)
    }
  }
}
