import Wire

/// Finds any of many secrets in what is written somewhere, in one quick pass.
struct SecretWatch {
  /// Of 32 lower-case hexadecimal digits, as the gateway writes them.
  private var written: Set<String> = []
  /// Digests as bytes, by their first eight.
  private var raw: [UInt64: [[UInt8]]] = [:]
  /// Which first two bytes digests have.
  private var starts = [Bool](repeating: false, count: 65_536)
  /// What looked like a secret when nobody knew of it yet: a log may tell one before its owner hears it.
  private var seen: [String: String] = [:]
  private static let length = 32
  private static let isHex: [Bool] = (0..<256).map {
    ASCII.isDigit(UInt8($0)) || ($0 >= 97 && $0 <= 102)
  }

  /// Where the secret was seen already, if it was.
  mutating func add(_ secret: String, _ digests: [[UInt8]]) -> String? {
    written.insert(secret)
    var place = seen[secret]
    for digest in digests where digest.count >= 16 {
      let digits = String(ASCII.hex(digest).prefix(SecretWatch.length))
      written.insert(digits)
      place = place ?? seen[digits]
      raw[SecretWatch.head(digest, 0), default: []].append(digest)
      starts[Int(digest[0]) << 8 | Int(digest[1])] = true
    }
    return place
  }

  /// Keeps what looks like a secret in a text that is gone when the secret is known.
  mutating func remember(_ text: [UInt8], in place: String) {
    SecretWatch.forEachRun(in: text) { run in
      if seen.count < 10_000 { seen[run] = place }
      return false
    }
  }

  private static func head(_ bytes: [UInt8], _ place: Int) -> UInt64 {
    var head: UInt64 = 0
    for offset in 0..<8 { head = head << 8 | UInt64(bytes[place + offset]) }
    return head
  }

  /// Whether a secret stands there in digits.
  func isWritten(in text: [UInt8]) -> Bool {
    !written.isEmpty && SecretWatch.forEachRun(in: text) { written.contains($0) }
  }

  /// Every 32 hexadecimal digits in a row, until `action` is satisfied. Such a row touches every 32nd byte, so only
  /// those are looked at.
  @discardableResult
  private static func forEachRun(in text: [UInt8], _ action: (String) -> Bool) -> Bool {
    let isHex = SecretWatch.isHex
    var place = length - 1
    while place < text.count {
      guard isHex[Int(text[place])] else {
        place += length
        continue
      }
      var first = place
      while first > 0, isHex[Int(text[first - 1])] { first -= 1 }
      var end = place + 1
      while end < text.count, isHex[Int(text[end])] { end += 1 }
      while first + length <= end {
        if action(String(decoding: text[first..<first + length], as: UTF8.self)) { return true }
        first += 1
      }
      place = end + length - 1
    }
    return false
  }

  /// Whether a digest stands there as bytes.
  func isRaw(in file: [UInt8]) -> Bool {
    guard !raw.isEmpty, file.count >= 16 else { return false }
    return unsafe starts.withUnsafeBufferPointer { starts in
      unsafe file.withUnsafeBufferPointer { bytes in
        var place = 0
        var key = unsafe Int(bytes[0])
        while place + 16 <= bytes.count {
          key = unsafe (key << 8 | Int(bytes[place + 1])) & 0xFFFF
          if unsafe starts[key] {
            for digest in raw[SecretWatch.head(file, place)] ?? []
            where place + digest.count <= file.count
              && Array(file[place..<place + digest.count]) == digest
            { return true }
          }
          place += 1
        }
        return false
      }
    }
  }
}
