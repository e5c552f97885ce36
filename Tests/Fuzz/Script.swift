/// Reads an input as a list of operations: whatever the bytes are, they are a script.
struct Script {
  private let bytes: [UInt8]
  private var place = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { place >= bytes.count }

  /// The next byte; 0 past the end.
  mutating func byte() -> UInt8 {
    guard place < bytes.count else { return 0 }
    defer { place += 1 }
    return bytes[place]
  }
  mutating func below(_ bound: Int) -> Int { Int(byte()) % bound }

  /// One of the choices.
  mutating func pick<Value>(_ choices: [Value]) -> Value { choices[below(choices.count)] }

  /// Bytes after a length of one byte, as far as there are any.
  mutating func slice() -> [UInt8] {
    let end = min(bytes.count, place + 1 + Int(place < bytes.count ? bytes[place] : 0))
    defer { place = end }
    return place < end ? Array(bytes[(place + 1)..<end]) : []
  }
  /// The same as text of one line.
  mutating func line() -> String {
    String(decoding: slice().map { $0 == 13 || $0 == 10 ? 32 : $0 }, as: UTF8.self)
  }
}
