import Crypto
import ICE
import Testing
import Wire

struct STUNTests {
  // RFC 5769, sections 2.1 to 2.4.
  static let request = bytes(
    """
    00010058 2112a442 b7e7a701 bc34d686 fa87dfae 80220010 5354554e 20746573 7420636c 69656e74 00240004 6e0001ff
    80290008 932ff9b1 51263b36 00060009 6576746a 3a683676 59202020 00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249
    c1b571a2 80280004 e57a3bcf
    """)
  static let answerV4 = bytes(
    """
    0101003c 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200008 0001a147 e112a643
    00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7 80280004 c07d4c96
    """)
  static let answerV6 = bytes(
    """
    01010048 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200014 0002a147 0113a9fa
    a5d3f179 bc25f4b5 bed2b9d9 00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41 80280004 c8fb0b4c
    """)
  static let longTerm = bytes(
    """
    00010060 2112a442 78ad3433 c6ad72c0 29da412e 00060012 e3839ee3 8388e383 aae38383 e382afe3 82b90000 0015001c
    662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341 0014000b 6578616d 706c652e 6f726700 00080014
    f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666
    """)
  static let password = Array("VOkJxbRl1RmTxUk/WvJxBt".utf8)

  @Test func theSampleRequestIsRead() throws {
    let span = Self.request
    let message = try STUNMessage(parsing: span)
    #expect(message.kind == .request && message.method == STUNMethod.binding)
    #expect(message.transaction == STUNTransactionID(high: 0xB7E7_A701, low: 0xBC34_D686_FA87_DFAE))
    #expect(message.priority(in: span) == 0x6E00_01FF)
    #expect(message.controlled(in: span) == 0x932F_F9B1_5126_3B36)
    #expect(message.controlling(in: span) == nil)
    #expect(message.bytes(message.username, in: span) == Array("evtj:h6vY".utf8))
    #expect(message.hasFingerprint(in: span))
    #expect(message.hasIntegrity(key: Self.password, in: span))
    #expect(!message.hasIntegrity(key: Self.password + [65], in: span))
  }

  @Test func theSampleAnswersAreRead() throws {
    for (sample, address) in [
      (Self.answerV4, "192.0.2.1:32853"), (Self.answerV6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ] {
      let message = try STUNMessage(parsing: sample)
      #expect(message.kind == .success)
      #expect(message.mapped(in: sample) == endpoint(address))
      #expect(message.hasFingerprint(in: sample))
      #expect(message.hasIntegrity(key: Self.password, in: sample))
    }
  }

  @Test func theSampleWithLongTermCredentialsIsRead() throws {
    let sample = Self.longTerm
    let message = try STUNMessage(parsing: sample)
    let key = Digest.md5(Array("マトリックス:example.org:TheMatrIX".utf8))
    #expect(message.hasIntegrity(key: key, in: sample))
    #expect(!message.hasFingerprint(in: sample))
    #expect(message.bytes(message.realm, in: sample) == Array("example.org".utf8))
    #expect(message.bytes(message.nonce, in: sample) == Array("f//499k954d6OL34oL9FSTvy64sA".utf8))
  }

  @Test func theSamplesAreWrittenBitForBit() {
    var writer = STUNWriter()
    writer.begin(
      .request, STUNMethod.binding, STUNTransactionID(high: 0x78AD_3433, low: 0xC6AD_72C0_29DA_412E))
    writer.add(STUNAttribute.username, text: "マトリックス")
    writer.add(STUNAttribute.nonce, text: "f//499k954d6OL34oL9FSTvy64sA")
    writer.add(STUNAttribute.realm, text: "example.org")
    writer.addIntegrity(key: Digest.md5(Array("マトリックス:example.org:TheMatrIX".utf8)))
    #expect(writer.bytes == Self.longTerm)

    // The others pad with blanks where we pad with zeros: the same length, another integrity.
    let id = STUNTransactionID(high: 0xB7E7_A701, low: 0xBC34_D686_FA87_DFAE)
    writer.begin(.success, STUNMethod.binding, id)
    writer.add(STUNAttribute.software, text: "test vector")
    writer.add(STUNAttribute.xorMappedAddress, xor: endpoint("[2001:db8:1234:5678:11:2233:4455:6677]:32853"))
    writer.seal(key: Self.password)
    #expect(writer.bytes.count == Self.answerV6.count)
    #expect(writer.bytes[36..<60] == Self.answerV6[36..<60])
  }

  @Test func everyChangedBitBreaksFingerprintOrForm() {
    for sample in [Self.request, Self.answerV4, Self.answerV6] {
      for place in sample.indices {
        for bit in 0..<8 {
          var broken = sample
          broken[place] ^= 1 << bit
          guard let message = try? STUNMessage(parsing: broken) else { continue }
          #expect(!message.hasFingerprint(in: broken), "byte \(place) bit \(bit)")
        }
      }
    }
  }

  @Test func everyCutIsRefused() {
    for end in Self.request.indices {
      #expect(throws: STUNError.self) { try STUNMessage(parsing: Array(Self.request[..<end])) }
    }
    #expect(throws: STUNError.length) { try STUNMessage(parsing: (Self.request + [0])) }
    #expect(throws: STUNError.notSTUN) {
      try STUNMessage(parsing: bytes("80010000 2112a442 00000000 00000000 00000000"))
    }
    #expect(throws: STUNError.notSTUN) {
      try STUNMessage(parsing: bytes("00010000 2112a443 00000000 00000000 00000000"))
    }
    let overlong = bytes("00010008 2112a442 00000000 00000000 00000000 0006ffff 00000000")
    #expect(throws: STUNError.attribute) { try STUNMessage(parsing: overlong) }
    let afterwards = bytes("00010010 2112a442 00000000 00000000 00000000 80280004 00000000 80220004 00000000")
    #expect(throws: STUNError.afterFingerprint) { try STUNMessage(parsing: afterwards) }
  }

  @Test func whatFollowsTheIntegrityIsIgnored() throws {
    var writer = STUNWriter()
    writer.begin(.request, STUNMethod.binding, STUNTransactionID(high: 1, low: 2))
    writer.add(STUNAttribute.username, text: "a:b")
    writer.addIntegrity(key: [1, 2, 3])
    writer.addFlag(STUNAttribute.useCandidate)
    writer.add(0x7FFF, text: "must be understood")
    writer.addIntegritySHA256(key: [1, 2, 3])
    writer.addFingerprint()
    let sent = writer.bytes
    let message = try STUNMessage(parsing: sent)
    #expect(!message.hasUseCandidate && message.unknownCount == 0)
    #expect(message.hasIntegrity(key: [1, 2, 3], in: sent))
    #expect(message.hasIntegritySHA256(key: [1, 2, 3], in: sent))
    #expect(!message.hasIntegritySHA256(key: [1, 2, 4], in: sent))
    #expect(message.hasFingerprint(in: sent))
  }

  @Test func whatMustBeUnderstoodAndIsNotIsNamed() throws {
    var writer = STUNWriter()
    writer.begin(.request, STUNMethod.binding, STUNTransactionID(high: 1, low: 2))
    for type: UInt16 in [0x7001, 0xC057, 0x7002, 0x7003, 0x7004, 0x7005] { writer.add(type, word: 7) }
    writer.finish()
    let message = try STUNMessage(parsing: writer.bytes)
    #expect(message.unknownCount == 4)
    #expect(message.unknown[0] == 0x7001 && message.unknown[3] == 0x7004)
  }

  @Test func everyMethodAndClassKeepsItsBits() throws {
    var writer = STUNWriter()
    for method: UInt16 in [1, 3, 4, 6, 7, 8, 9, 0x0FF, 0x80, 0xFFF, 0x5A5] {
      for kind in [STUNClass.request, .indication, .success, .failure] {
        writer.begin(kind, method, STUNTransactionID(high: 9, low: 9))
        writer.finish()
        let message = try STUNMessage(parsing: writer.bytes)
        #expect(message.kind == kind && message.method == method)
      }
    }
  }

  @Test func anErrorKeepsItsCode() throws {
    var writer = STUNWriter()
    for code in [300, 400, 401, 420, 438, 487, 699] {
      writer.begin(.failure, STUNMethod.binding, STUNTransactionID(high: 9, low: 9))
      writer.addError(code, "Because")
      writer.finish()
      let message = try STUNMessage(parsing: writer.bytes)
      #expect(message.errorCode(in: writer.bytes) == code)
    }
  }

  @Test func theKeyedHashesAreThoseOfTheirRFCs() {
    // RFC 2202 and RFC 4231, test cases 2 and 6.
    let (head, tail) = (Array("what do ya w".utf8), Array("ant for nothing?".utf8))
    let short = Digest.hmacSHA1(key: Array("Jefe".utf8), head.span, tail.span)
    #expect(ASCII.hex((0..<20).map { short[$0] }) == "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79")
    let text = Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8)
    let long = Digest.hmacSHA1(key: [UInt8](repeating: 0xAA, count: 80), text.span, Span())
    #expect(ASCII.hex((0..<20).map { long[$0] }) == "aa4ae5e15272d00e95705637ce8a3b55ed402112")
    let wide = Digest.hmacSHA256(key: Array("Jefe".utf8), head.span, tail.span)
    #expect(
      ASCII.hex((0..<32).map { wide[$0] })
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
  }

  @Test func datagramsAreToldApartByTheirFirstBytes() {
    let expected: [(UInt8, UInt8, DatagramKind)] = [
      (0, 1, .stun), (3, 0, .stun), (4, 0, .unknown), (16, 0, .unknown), (19, 0, .unknown), (20, 0, .dtls),
      (63, 0, .dtls), (64, 0, .turnChannel), (79, 0, .turnChannel), (80, 0, .unknown), (127, 0, .unknown),
      (128, 0, .rtp), (128, 191, .rtp), (128, 192, .rtcp), (191, 223, .rtcp), (191, 224, .rtp),
      (192, 200, .unknown),
    ]
    for (first, second, kind) in expected { #expect(DatagramKind([first, second]) == kind) }
    #expect(DatagramKind([UInt8]()) == .unknown)
    #expect(DatagramKind([128]) == .unknown)
  }
}
