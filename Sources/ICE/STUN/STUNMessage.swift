package import Wire

// STUN messages as they lie in a datagram (RFC 8489 sections 5 and 14, RFC 8445 section 16.1, RFC 8656 section 18).
//
// Responsible for finding the attributes in bytes that a stranger wrote, for their values, and for checking the
// fingerprint and the integrity. It reads in place and allocates nothing. Whether a message is expected, and what to
// answer, is the agent's business.

/// What a STUN message is: the class bits of its type.
package enum STUNClass: UInt8, Hashable, Sendable {
  case request = 0, indication, success, failure
}

/// The methods that we speak, as numbers: any of 4096 may come.
package enum STUNMethod {
  package static let binding: UInt16 = 0x001
  package static let allocate: UInt16 = 0x003
  package static let refresh: UInt16 = 0x004
  package static let send: UInt16 = 0x006
  package static let data: UInt16 = 0x007
  package static let createPermission: UInt16 = 0x008
  package static let channelBind: UInt16 = 0x009
}

/// Attribute types that we read or write.
package enum STUNAttribute {
  package static let mappedAddress: UInt16 = 0x0001
  package static let username: UInt16 = 0x0006
  package static let messageIntegrity: UInt16 = 0x0008
  package static let errorCode: UInt16 = 0x0009
  package static let unknownAttributes: UInt16 = 0x000A
  package static let channelNumber: UInt16 = 0x000C
  package static let lifetime: UInt16 = 0x000D
  package static let xorPeerAddress: UInt16 = 0x0012
  package static let data: UInt16 = 0x0013
  package static let realm: UInt16 = 0x0014
  package static let nonce: UInt16 = 0x0015
  package static let xorRelayedAddress: UInt16 = 0x0016
  package static let requestedAddressFamily: UInt16 = 0x0017
  package static let requestedTransport: UInt16 = 0x0019
  package static let messageIntegritySHA256: UInt16 = 0x001C
  package static let xorMappedAddress: UInt16 = 0x0020
  package static let priority: UInt16 = 0x0024
  package static let useCandidate: UInt16 = 0x0025
  package static let software: UInt16 = 0x8022
  package static let fingerprint: UInt16 = 0x8028
  package static let iceControlled: UInt16 = 0x8029
  package static let iceControlling: UInt16 = 0x802A
}

/// The 96 bits that tie an answer to its request.
package struct STUNTransactionID: Hashable, Sendable {
  package var high: UInt32
  package var low: UInt64

  package init(high: UInt32, low: UInt64) {
    self.high = high
    self.low = low
  }
}

/// Why bytes are no STUN message.
package enum STUNError: Error, Hashable, Sendable {
  /// Fewer than the twenty bytes of a header.
  case tooShort
  /// The first two bits are not zero, or the magic cookie is missing: something else.
  case notSTUN
  /// The length is no multiple of four, or not that of the datagram.
  case length
  /// An attribute runs over the end.
  case attribute
  /// Something follows the fingerprint.
  case afterFingerprint
}

/// A STUN message that was found in a datagram: places, not bytes. It stays meaningful only beside that datagram.
package struct STUNMessage: Sendable {
  /// Bytes of a header.
  package static let headerLength = 20
  package static let cookie: UInt32 = 0x2112_A442
  /// How many unknown attributes a 420 names.
  package static let unknownLimit = 4

  /// The place of an attribute's value; `start` is 0 when the message lacks it.
  package struct Field: Hashable, Sendable {
    package var start: UInt16 = 0
    package var count: UInt16 = 0

    package var isPresent: Bool { start != 0 }
    package var range: Range<Int> { Int(start)..<Int(start) + Int(count) }
  }

  package let method: UInt16
  package let kind: STUNClass
  package let transaction: STUNTransactionID
  package private(set) var username = Field()
  package private(set) var realm = Field()
  package private(set) var nonce = Field()
  package private(set) var integrity = Field()
  package private(set) var integritySHA256 = Field()
  package private(set) var fingerprint = Field()
  package private(set) var errorCode = Field()
  package private(set) var priorityField = Field()
  package private(set) var controlledField = Field()
  package private(set) var controllingField = Field()
  package private(set) var mappedAddress = Field()
  package private(set) var xorMappedAddress = Field()
  package private(set) var xorRelayedAddress = Field()
  package private(set) var xorPeerAddress = Field()
  package private(set) var dataField = Field()
  package private(set) var lifetimeField = Field()
  package private(set) var channelField = Field()
  package private(set) var hasUseCandidate = false
  /// Attributes that had to be understood and are not: the first few.
  package private(set) var unknown = InlineArray<4, UInt16>(repeating: 0)
  package private(set) var unknownCount = 0

  /// Finds the attributes of `datagram`, which must be exactly one message. What stands behind the integrity is
  /// ignored, but for a second integrity and the fingerprint (RFC 8489 section 14.5).
  package init(parsing datagram: Span<UInt8>) throws(STUNError) {
    let count = datagram.count
    guard count >= STUNMessage.headerLength else { throw .tooShort }
    guard datagram[0] & 0xC0 == 0, datagram.word32(at: 4) == STUNMessage.cookie else { throw .notSTUN }
    let length = Int(datagram.word16(at: 2))
    guard length & 3 == 0, length + STUNMessage.headerLength == count, count <= 0xFFFF else { throw .length }
    let type = datagram.word16(at: 0)
    method = type & 0x0F | (type & 0xE0) >> 1 | (type & 0x3E00) >> 2
    kind =
      switch (type & 0x100 != 0, type & 0x10 != 0) {
      case (false, false): .request
      case (false, true): .indication
      case (true, false): .success
      case (true, true): .failure
      }
    transaction = STUNTransactionID(high: datagram.word32(at: 8), low: datagram.word64(at: 12))

    var place = STUNMessage.headerLength
    while place < count {
      // Lengths are multiples of four, so a header of four bytes always fits.
      let type = datagram.word16(at: place)
      let size = Int(datagram.word16(at: place + 2))
      let next = place + 4 + (size + 3) & ~3
      guard next <= count else { throw .attribute }
      guard !fingerprint.isPresent else { throw .afterFingerprint }
      note(type, Field(start: UInt16(place + 4), count: UInt16(size)))
      place = next
    }
  }

  private mutating func note(_ type: UInt16, _ field: Field) {
    if integrity.isPresent || integritySHA256.isPresent {
      switch type {
      case STUNAttribute.messageIntegritySHA256 where !integritySHA256.isPresent: integritySHA256 = field
      case STUNAttribute.fingerprint: fingerprint = field
      default: break
      }
      return
    }
    // Of an attribute that comes twice the first counts.
    func set(_ old: inout Field) { if !old.isPresent { old = field } }
    switch type {
    case STUNAttribute.username: set(&username)
    case STUNAttribute.realm: set(&realm)
    case STUNAttribute.nonce: set(&nonce)
    case STUNAttribute.messageIntegrity: set(&integrity)
    case STUNAttribute.messageIntegritySHA256: set(&integritySHA256)
    case STUNAttribute.fingerprint: set(&fingerprint)
    case STUNAttribute.errorCode: set(&errorCode)
    case STUNAttribute.priority: set(&priorityField)
    case STUNAttribute.iceControlled: set(&controlledField)
    case STUNAttribute.iceControlling: set(&controllingField)
    case STUNAttribute.mappedAddress: set(&mappedAddress)
    case STUNAttribute.xorMappedAddress: set(&xorMappedAddress)
    case STUNAttribute.xorRelayedAddress: set(&xorRelayedAddress)
    case STUNAttribute.xorPeerAddress: set(&xorPeerAddress)
    case STUNAttribute.data: set(&dataField)
    case STUNAttribute.lifetime: set(&lifetimeField)
    case STUNAttribute.channelNumber: set(&channelField)
    case STUNAttribute.useCandidate: hasUseCandidate = true
    case STUNAttribute.unknownAttributes, STUNAttribute.requestedAddressFamily,
      STUNAttribute.requestedTransport, 0x001D, 0x001E, 0x0018, 0x001A, 0x0022:
      break  // known, and of no use to us as a reader
    case ..<0x8000:
      if unknownCount < STUNMessage.unknownLimit {
        unknown[unknownCount] = type
        unknownCount += 1
      }
    default: break
    }
  }
}

// MARK: Values

extension STUNMessage {
  /// The priority that the sender would give a candidate learnt from this check (RFC 8445 section 7.1.1).
  package func priority(in datagram: Span<UInt8>) -> UInt32? {
    priorityField.count == 4 ? datagram.word32(at: Int(priorityField.start)) : nil
  }
  package func controlled(in datagram: Span<UInt8>) -> UInt64? {
    controlledField.count == 8 ? datagram.word64(at: Int(controlledField.start)) : nil
  }
  package func controlling(in datagram: Span<UInt8>) -> UInt64? {
    controllingField.count == 8 ? datagram.word64(at: Int(controllingField.start)) : nil
  }
  /// Seconds.
  package func lifetime(in datagram: Span<UInt8>) -> UInt32? {
    lifetimeField.count == 4 ? datagram.word32(at: Int(lifetimeField.start)) : nil
  }
  /// Class and number, such as 487; nil when it is missing or no code.
  package func errorCode(in datagram: Span<UInt8>) -> Int? {
    guard errorCode.count >= 4 else { return nil }
    let place = Int(errorCode.start)
    let (hundreds, rest) = (Int(datagram[place + 2] & 7), Int(datagram[place + 3]))
    return (3...6).contains(hundreds) && rest < 100 ? hundreds * 100 + rest : nil
  }

  /// An address attribute, un-XORed unless it is `mappedAddress` (RFC 8489 sections 14.1 and 14.2).
  package func address(_ field: Field, in datagram: Span<UInt8>) -> Endpoint? {
    let place = Int(field.start)
    let isPlain = field == mappedAddress
    guard field.count >= 8 else { return nil }
    let port = datagram.word16(at: place + 2) ^ (isPlain ? 0 : 0x2112)
    switch (datagram[place + 1], field.count) {
    case (1, 8):
      let bits = datagram.word32(at: place + 4) ^ (isPlain ? 0 : STUNMessage.cookie)
      return Endpoint(IPAddress(v4: bits), port: port)
    case (2, 20):
      var high = datagram.word64(at: place + 4)
      var low = datagram.word64(at: place + 12)
      if !isPlain {
        high ^= UInt64(STUNMessage.cookie) << 32 | UInt64(transaction.high)
        low ^= transaction.low
      }
      return Endpoint(IPAddress(high: high, low: low), port: port)
    default: return nil
    }
  }

  /// Where the server sees us: XOR-MAPPED-ADDRESS, or what servers from before it send.
  package func mapped(in datagram: Span<UInt8>) -> Endpoint? {
    address(xorMappedAddress.isPresent ? xorMappedAddress : mappedAddress, in: datagram)
  }

  /// Whether the value of an attribute is exactly these bytes.
  package func matches(_ field: Field, _ bytes: [UInt8], in datagram: Span<UInt8>) -> Bool {
    guard Int(field.count) == bytes.count else { return false }
    for index in bytes.indices where datagram[Int(field.start) + index] != bytes[index] { return false }
    return true
  }

  /// The bytes of an attribute's value.
  package func bytes(_ field: Field, in datagram: Span<UInt8>) -> [UInt8] {
    [UInt8](datagram.extracting(field.range))
  }
}

/// Big-endian words in a span. The places must lie inside.
extension Span<UInt8> {
  func word16(at place: Int) -> UInt16 { UInt16(self[place]) << 8 | UInt16(self[place + 1]) }
  func word32(at place: Int) -> UInt32 {
    UInt32(word16(at: place)) << 16 | UInt32(word16(at: place + 2))
  }
  func word64(at place: Int) -> UInt64 {
    UInt64(word32(at: place)) << 32 | UInt64(word32(at: place + 4))
  }
}
