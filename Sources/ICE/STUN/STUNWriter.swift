internal import Crypto
package import Wire

/// Writes one STUN message after another into memory of its own: `begin`, attributes, then `seal` or `finish`.
package struct STUNWriter: Sendable {
  /// The message as far as it is written.
  package private(set) var bytes: [UInt8] = []
  private var transaction = STUNTransactionID(high: 0, low: 0)

  package init() { bytes.reserveCapacity(256) }

  /// Forgets the last message and writes the header of the next.
  package mutating func begin(_ kind: STUNClass, _ method: UInt16, _ transaction: STUNTransactionID) {
    self.transaction = transaction
    bytes.removeAll(keepingCapacity: true)
    let bits: UInt16 =
      switch kind {
      case .request: 0
      case .indication: 0x010
      case .success: 0x100
      case .failure: 0x110
      }
    append(bits | method & 0x0F | (method & 0x70) << 1 | (method & 0xF80) << 2)
    append(UInt16(0))
    append(STUNMessage.cookie)
    append(transaction.high)
    append(transaction.low)
  }

  /// Any attribute by its bytes.
  package mutating func add(_ type: UInt16, _ value: [UInt8]) {
    open(type, value.count)
    bytes.append(contentsOf: value)
    pad()
  }

  package mutating func add(_ type: UInt16, _ value: Span<UInt8>) {
    open(type, value.count)
    bytes.append(0..<value.count, of: value)
    pad()
  }

  package mutating func add(_ type: UInt16, text: String) { add(type, Array(text.utf8)) }

  package mutating func addFlag(_ type: UInt16) { open(type, 0) }

  package mutating func add(_ type: UInt16, word: UInt32) {
    open(type, 4)
    append(word)
  }

  package mutating func add(_ type: UInt16, double word: UInt64) {
    open(type, 8)
    append(word)
  }

  /// USERNAME of a check: whom it is for, a colon, who sends it (RFC 8445 section 7.2.2).
  package mutating func addUsername(_ recipient: [UInt8], _ sender: [UInt8]) {
    open(STUNAttribute.username, recipient.count + 1 + sender.count)
    bytes.append(contentsOf: recipient)
    bytes.append(UInt8(ascii: ":"))
    bytes.append(contentsOf: sender)
    pad()
  }

  /// An address XORed with the cookie and, for IPv6, the transaction.
  package mutating func add(_ type: UInt16, xor endpoint: Endpoint) {
    let address = endpoint.address
    open(type, address.isV4 ? 8 : 20)
    append(UInt16(address.isV4 ? 1 : 2))
    append(endpoint.port ^ 0x2112)
    if address.isV4 {
      append(address.v4 ^ STUNMessage.cookie)
    } else {
      append(address.high ^ (UInt64(STUNMessage.cookie) << 32 | UInt64(transaction.high)))
      append(address.low ^ transaction.low)
    }
  }

  /// ERROR-CODE with its phrase.
  package mutating func addError(_ code: Int, _ phrase: String) {
    let text = Array(phrase.utf8)
    open(STUNAttribute.errorCode, 4 + text.count)
    append(UInt16(0))
    bytes.append(UInt8(code / 100))
    bytes.append(UInt8(code % 100))
    bytes.append(contentsOf: text)
    pad()
  }

  /// Adds MESSAGE-INTEGRITY by `key`.
  package mutating func addIntegrity(key: [UInt8]) {
    let length = bytes.count
    open(STUNAttribute.messageIntegrity, 20)
    settleLength(length + 24)
    let code = Digest.hmacSHA1(key: key, bytes.span.extracting(0..<length), Span())
    for index in 0..<20 { bytes.append(code[index]) }
  }

  /// Adds MESSAGE-INTEGRITY-SHA256 by `key`, whole.
  package mutating func addIntegritySHA256(key: [UInt8]) {
    let length = bytes.count
    open(STUNAttribute.messageIntegritySHA256, 32)
    settleLength(length + 36)
    let code = Digest.hmacSHA256(key: key, bytes.span.extracting(0..<length), Span())
    for index in 0..<32 { bytes.append(code[index]) }
  }

  /// Adds FINGERPRINT; nothing may follow.
  package mutating func addFingerprint() {
    let length = bytes.count
    settleLength(length + 8)
    let value = CRC32.of(bytes.span, first: length) ^ STUNMessage.fingerprintMask
    open(STUNAttribute.fingerprint, 4)
    append(value)
  }

  /// Ends a message of ICE: integrity, then fingerprint.
  package mutating func seal(key: [UInt8]) {
    addIntegrity(key: key)
    addFingerprint()
  }

  /// Ends a message as it is.
  package mutating func finish() { settleLength(bytes.count) }

  private mutating func open(_ type: UInt16, _ count: Int) {
    append(type)
    append(UInt16(count))
  }
  private mutating func pad() { while bytes.count & 3 != 0 { bytes.append(0) } }
  private mutating func settleLength(_ end: Int) {
    let length = end - STUNMessage.headerLength
    bytes[2] = UInt8(truncatingIfNeeded: length >> 8)
    bytes[3] = UInt8(truncatingIfNeeded: length)
  }
  private mutating func append(_ word: UInt16) {
    bytes.append(UInt8(truncatingIfNeeded: word >> 8))
    bytes.append(UInt8(truncatingIfNeeded: word))
  }
  private mutating func append(_ word: UInt32) {
    append(UInt16(truncatingIfNeeded: word >> 16))
    append(UInt16(truncatingIfNeeded: word))
  }
  private mutating func append(_ word: UInt64) {
    append(UInt32(truncatingIfNeeded: word >> 32))
    append(UInt32(truncatingIfNeeded: word))
  }
}
