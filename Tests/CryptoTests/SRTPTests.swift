import CSRTP
import Testing
import Wire

@testable import Crypto

/// Bytes of hexadecimal text; blanks are skipped.
private func hex(_ text: String) -> [UInt8] {
  let digits = text.utf8.compactMap(ASCII.hexValue)
  return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

private func keys(_ profile: SRTPProfile, _ seed: UInt64 = 1) -> SRTPKeys {
  var random = Random(seed: seed)
  return SRTPKeys(
    profile, key: random.bytes(profile.keyLength), salt: random.bytes(profile.saltLength))
}

private func header(_ sequence: UInt16, ssrc: UInt32, timestamp: UInt32 = 160) -> [UInt8] {
  var bytes: [UInt8] = [0x80, 0x08, UInt8(sequence >> 8), UInt8(sequence & 255)]
  for word in [timestamp, ssrc] {
    for shift: UInt32 in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
  }
  return bytes
}

extension SRTPSender {
  fileprivate func protected(
    _ header: [UInt8], _ payload: [UInt8], _ departure: Departure = .first
  ) -> [UInt8] {
    var buffer = [UInt8](repeating: 0xEE, count: header.count + payload.count + overhead)
    var room = buffer.mutableSpan
    let length = protect(header.span, payload.span, departure, into: &room)
    return Array(buffer[..<length])
  }
}

extension SRTPReceiver {
  fileprivate func opened(_ packet: [UInt8]) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: 2048)
    var room = buffer.mutableSpan
    guard let length = unprotect(packet.span, into: &room) else { return nil }
    return Array(buffer[..<length])
  }

  fileprivate func openedControl(_ packet: [UInt8]) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: 2048)
    var room = buffer.mutableSpan
    guard let length = unprotectControl(packet.span, into: &room) else { return nil }
    return Array(buffer[..<length])
  }
}

/// libsrtp2's own sender, to compare with.
@safe private final class Reference {
  private var session: OpaquePointer?

  init(_ profile: SRTPProfile, key: [UInt8], salt: [UInt8]) {
    // A receiver of ours sets the library up first.
    _ = SRTPReceiver(SRTPKeys(profile, key: key, salt: salt))
    let number =
      switch profile {
      case .aes128CMSHA180: srtp_profile_aes128_cm_sha1_80
      case .aeadAES128GCM: srtp_profile_aead_aes_128_gcm
      case .aeadAES256GCM: srtp_profile_aead_aes_256_gcm
      }
    var policy = unsafe srtp_policy_t()
    unsafe srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, number)
    unsafe srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, number)
    unsafe policy.ssrc.type = ssrc_any_outbound
    unsafe policy.window_size = 1024
    unsafe policy.allow_repeat_tx = 1
    var material = key + salt
    unsafe material.withUnsafeMutableBufferPointer { bytes in
      unsafe policy.key = bytes.baseAddress
      _ = unsafe srtp_create(&session, &policy)
    }
  }

  deinit { unsafe srtp_dealloc(session) }

  func protected(_ header: [UInt8], _ payload: [UInt8]) -> [UInt8]? {
    var packet = header + payload + [UInt8](repeating: 0, count: 160)
    var length = Int32(header.count + payload.count)
    guard unsafe srtp_protect(session, &packet, &length) == srtp_err_status_ok else { return nil }
    return Array(packet[..<Int(length)])
  }
}

@Suite struct SRTPTests {
  @Test(arguments: SRTPProfile.allCases)
  func whatWeSendIsToTheBitWhatLibsrtpWouldSend(profile: SRTPProfile) throws {
    var random = Random(seed: 11)
    let key = random.bytes(profile.keyLength)
    let salt = random.bytes(profile.saltLength)
    let sender = SRTPSender(SRTPKeys(profile, key: key, salt: salt))
    let reference = Reference(profile, key: key, salt: salt)
    var compared = 0
    // Three sources at different places, two of which roll over; steps of all sizes, and packets sent again.
    var next: [UInt32: UInt16] = [1: 65_300, 0xDEAD_BEEF: 0, 0xFFFF_FFFF: 32_000]
    for round in 0..<1500 {
      let ssrc: UInt32 = [1, 0xDEAD_BEEF, 0xFFFF_FFFF][round % 3]
      var sequence = next[ssrc, default: 0]
      let isAgain = round % 7 == 3 && round > 30
      if isAgain {
        sequence &-= UInt16(random.below(200))
      } else {
        next[ssrc] = sequence &+ (ssrc == 1 ? 1 : 97)
      }
      let head = header(sequence, ssrc: ssrc, timestamp: UInt32(sequence) &* 160)
      // What is sent again has the same bytes: they hang on source and number alone.
      var filler = Random(seed: UInt64(ssrc) << 16 | UInt64(sequence))
      let payload = filler.bytes(Int(filler.below(1200)))
      let ours = sender.protected(head, payload, isAgain ? .again : .first)
      guard let theirs = reference.protected(head, payload) else { continue }
      #expect(ours == theirs, "round \(round), number \(sequence)")
      compared += 1
    }
    #expect(compared > 1450)
  }

  @Test func aKnownPacketOfCounterModeComesOutAsPublished() {
    // libsrtp's own vector for AES-128 and HMAC-SHA1-80, made with the master key of RFC 3711 section B.3.
    let sender = SRTPSender(
      SRTPKeys(
        .aes128CMSHA180, key: hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
        salt: hex("0EC675AD498AFEEBB6960B3AABE6")))
    let packet = sender.protected(
      hex("800f1234decafbadcafebabe"), [UInt8](repeating: 0xAB, count: 16))
    #expect(
      packet
        == hex("800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb"))
  }

  @Test func aKnownPacketOfGaloisModeComesOutAsPublished() {
    var key: [UInt8] = []
    for byte in 0..<16 { key.append(UInt8(byte)) }
    var salt: [UInt8] = []
    for byte in 0xA0..<0xAC { salt.append(UInt8(byte)) }
    let sender = SRTPSender(SRTPKeys(.aeadAES128GCM, key: key, salt: salt))
    let packet = sender.protected(
      hex("800f1234decafbadcafebabe"), [UInt8](repeating: 0xAB, count: 16))
    #expect(
      packet
        == hex(
          "800f1234decafbadcafebabe c5002ede04cfdd2eb91159e0880aa06e d2976826f796b201df3131a127e8a392"))
  }

  @Test func thePacketsOfTheGaloisStandardComeOutAsPublished() {
    // RFC 7714 section 16.1: session keys, not master keys.
    let plain = Array("Gallia est omnis divisa in partes tres".utf8)
    var key: [UInt8] = []
    for byte in 0..<32 { key.append(UInt8(byte)) }
    let salt = hex("517569642070726f2071756f")
    let head = hex("8040f17b8041f8d35501a0b2")
    let short = SRTPSender(
      .aeadAES128GCM, SessionKeys(key: Array(key[..<16]), authentication: [], salt: salt))
    #expect(
      short.protected(head, plain)
        == head
        + hex(
          "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833"
            + "899d7f27beb16a9152cf765ee4390cce"))
    let long = SRTPSender(.aeadAES256GCM, SessionKeys(key: key, authentication: [], salt: salt))
    #expect(
      long.protected(head, plain)
        == head
        + hex(
          "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b"
            + "7aa3db36dfffd6b0f9bb7878d7a76c13"))
  }

  @Test func sessionKeysAreDerivedAsPublished() {
    // RFC 3711 section B.3.
    let session = SessionKeys(
      SRTPKeys(
        .aes128CMSHA180, key: hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
        salt: hex("0EC675AD498AFEEBB6960B3AABE6")))
    #expect(session.key == hex("C61E7A93744F39EE10734AFE3FF7A087"))
    #expect(session.salt == hex("30CBBC08863D8C85D49DB34A9AE1"))
    #expect(session.authentication == hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"))
  }

  @Test(arguments: SRTPProfile.allCases)
  func whatIsSentIsOpenedAgainOverARollover(profile: SRTPProfile) throws {
    let sender = SRTPSender(keys(profile))
    let receiver = SRTPReceiver(keys(profile))
    var sequence: UInt16 = 65_000
    for round in 0..<1200 {
      let head = header(sequence, ssrc: 77)
      let payload = [UInt8](repeating: UInt8(round & 255), count: 160)
      #expect(receiver.opened(sender.protected(head, payload)) == head + payload)
      sequence &+= 1
    }
    #expect(sequence == 664)
    #expect(receiver.forged == 0 && receiver.replayed == 0)
  }

  @Test func headersWithContributorsAndExtensionsStayReadableAndAreAuthenticated() throws {
    for profile in SRTPProfile.allCases {
      let sender = SRTPSender(keys(profile))
      let receiver = SRTPReceiver(keys(profile))
      // One contributor, and an extension of one word.
      let head = [0x91] + header(9, ssrc: 5).dropFirst() + [0, 0, 0, 9, 0xBE, 0xDE, 0, 1, 0x10, 0x30, 0, 0]
      var packet = sender.protected(head, [1, 2, 3])
      #expect(Array(packet[..<head.count]) == head)
      packet[head.count - 3] ^= 1
      #expect(receiver.opened(packet) == nil)
      packet[head.count - 3] ^= 1
      #expect(receiver.opened(packet) == head + [1, 2, 3])
    }
  }

  @Test func aPacketIsTakenOnceAndForgeriesAreCountedHoweverMany() {
    let sender = SRTPSender(keys(.aeadAES128GCM))
    let receiver = SRTPReceiver(keys(.aeadAES128GCM))
    let packet = sender.protected(header(1, ssrc: 5), [1, 2, 3])
    #expect(receiver.opened(packet) != nil)
    #expect(receiver.opened(packet) == nil)
    #expect(receiver.replayed == 1)
    for place in packet.indices {
      var forged = sender.protected(header(2, ssrc: 5), [1, 2, 3], .again)
      forged[place] ^= 0x40
      #expect(receiver.opened(forged) == nil)
    }
    for length in 0..<packet.count { #expect(receiver.opened(Array(packet[..<length])) == nil) }
    #expect(receiver.forged + receiver.unknown >= UInt64(packet.count))
    // None of it stands in the way of what is real.
    #expect(receiver.opened(sender.protected(header(2, ssrc: 5), [1, 2, 3], .again)) != nil)
  }

  @Test func forgedSourcesTakeNoPlace() {
    let sender = SRTPSender(keys(.aes128CMSHA180))
    let receiver = SRTPReceiver(keys(.aes128CMSHA180))
    var random = Random(seed: 3)
    for _ in 0..<1000 {
      let packet = header(7, ssrc: UInt32(truncatingIfNeeded: random.next())) + random.bytes(40)
      #expect(receiver.opened(packet) == nil)
    }
    #expect(receiver.forged == 1000)
    #expect(receiver.unknown == 0)
    for source in 0..<40 {
      let opened = receiver.opened(sender.protected(header(1, ssrc: UInt32(source)), [9]))
      #expect((opened != nil) == (source < SRTPReceiver.sourceLimit))
    }
  }

  @Test func aSenderRefusesWhatDoesNotFitAndSourcesTooMany() {
    let sender = SRTPSender(keys(.aeadAES256GCM))
    var buffer = [UInt8](repeating: 0, count: 12 + 3 + 16)
    let payload: [UInt8] = [1, 2, 3]
    let head = header(1, ssrc: 1)
    var room = buffer.mutableSpan
    #expect(sender.protect(head.span, payload.span, into: &room, at: 1) == 0)
    #expect(sender.protect(payload.span, payload.span, into: &room) == 0)
    #expect(sender.protect(head.span, payload.span, into: &room) == 31)
    for source in 2...UInt32(SRTPSender.sourceLimit) {
      #expect(!sender.protected(header(1, ssrc: source), payload).isEmpty)
    }
    #expect(sender.protected(header(1, ssrc: 1000), payload).isEmpty)
    #expect(!sender.protected(header(2, ssrc: 1), payload).isEmpty)
  }

  @Test(arguments: SRTPProfile.allCases)
  func twoPacketsNeverLeaveUnderOneIndex(profile: SRTPProfile) {
    let sender = SRTPSender(keys(profile))
    let payload: [UInt8] = [1, 2, 3]
    let first = sender.protected(header(500, ssrc: 5), payload)
    #expect(sender.protected(header(500, ssrc: 5), [3, 2, 1]).isEmpty)
    #expect(sender.protected(header(500, ssrc: 5, timestamp: 9), payload).isEmpty)
    #expect(sender.protected(header(500, ssrc: 5), payload, .again) == first)
    // Late ones have their own, each once, as far back as is known.
    #expect(!sender.protected(header(503, ssrc: 5), payload).isEmpty)
    for late: UInt16 in [502, 501] {
      #expect(!sender.protected(header(late, ssrc: 5), payload).isEmpty)
      #expect(sender.protected(header(late, ssrc: 5), payload).isEmpty)
    }
    #expect(!sender.protected(header(2000, ssrc: 5), payload).isEmpty)
    #expect(sender.protected(header(1000, ssrc: 5), payload).isEmpty)
    #expect(sender.protected(header(500, ssrc: 5), payload, .again) == first)
    // A whole turn later a number is another.
    for sequence in stride(from: UInt16(2001), to: 65_000, by: 20_000) {
      #expect(!sender.protected(header(sequence, ssrc: 5), payload).isEmpty)
    }
    let later = sender.protected(header(500, ssrc: 5), payload)
    #expect(later.count == first.count && later != first)
  }

  @Test func thereIsNothingBelowTheFirstIndex() {
    let sender = SRTPSender(keys(.aeadAES128GCM))
    #expect(!sender.protected(header(2, ssrc: 5), [1]).isEmpty)
    for departure in [Departure.first, .again] {
      #expect(sender.protected(header(65_530, ssrc: 5), [1], departure).isEmpty)
    }
    // It was no jump forwards: the numbers go on where they were.
    #expect(!sender.protected(header(1, ssrc: 5), [1]).isEmpty)
    #expect(sender.protected(header(2, ssrc: 5), [2]).isEmpty)
  }

  @Test(arguments: SRTPProfile.allCases)
  func reportsTravelBothWaysAndForgedOnesDoNot(profile: SRTPProfile) {
    let sender = SRTPControlSender(keys(profile, 4))
    let receiver = SRTPReceiver(keys(profile, 4))
    let report = hex("80c90001 00000005")
    for _ in 0..<3 {
      var buffer = [UInt8](repeating: 0, count: 64)
      var room = buffer.mutableSpan
      let length = sender.protect(report.span, into: &room)
      #expect(length == 8 + profile.controlOverhead)
      var packet = Array(buffer[..<length])
      packet[14] ^= 1
      #expect(receiver.openedControl(packet) == nil)
      packet[14] ^= 1
      #expect(receiver.openedControl(packet) == report)
      #expect(receiver.openedControl(packet) == nil)
    }
    #expect(receiver.replayed == 3)
    #expect(receiver.forged == 3)
  }

  @Test func keyingMaterialIsCutAsTheStandardLaysItOut() throws {
    var material: [UInt8] = []
    for byte in 0..<56 { material.append(UInt8(byte)) }
    let client = try #require(SRTPKeyPair(.aeadAES128GCM, material: material, role: .client))
    let server = try #require(SRTPKeyPair(.aeadAES128GCM, material: material, role: .server))
    #expect(client.outbound == server.inbound && client.inbound == server.outbound)
    #expect(
      client.outbound
        == SRTPKeys(
          .aeadAES128GCM, key: Array(material[..<16]), salt: Array(material[32..<44])))
    #expect(
      client.inbound
        == SRTPKeys(
          .aeadAES128GCM, key: Array(material[16..<32]), salt: Array(material[44..<56])))
    #expect(SRTPKeyPair(.aes128CMSHA180, material: material, role: .client) == nil)
    for text in ["\(client)", "\(client.inbound)", String(reflecting: client)] {
      #expect(text.contains("withheld"))
    }
  }

  @Test func profilesAreRankedByTheStopwatch() {
    // The first of each turn is GCM.
    var call = 0
    let slowGCM = SRTPProfile.ranked { work in
      work()
      call += 1
      return .microseconds(call.isMultiple(of: 2) ? 100 : 150)
    }
    #expect(slowGCM == SRTPProfile.counterModeFirst)
    #expect(SRTPProfile.ranked { _ in .microseconds(10) } == SRTPProfile.gcmFirst)
    #expect(call == 6)
  }
}
