import CSRTP
import Crypto
import Glibc
import Wire

/// What it costs to protect a packet: our sender beside Debian's libsrtp2, and what opening one costs.
enum Protecting {
  static func measure(turns: Int) {
    for profile in SRTPProfile.allCases {
      for size in [160, 1200] {
        var ours: [Double] = []
        var theirs: [Double] = []
        var opening: [Double] = []
        for _ in 0..<turns {
          let (mine, opened) = ownCost(profile, size)
          ours.append(mine)
          opening.append(opened)
          theirs.append(peerCost(profile, size))
        }
        report(
          "\(profile) \(size) B, ns a packet", ours: ours, theirs: theirs, peer: "libsrtp2",
          aim: 0.7)
        report("\(profile) \(size) B, opened", median(opening), unit: "ns", aim: "-")
      }
    }
    let order = SRTPProfile.ranked { work in
      let began = monotonicSeconds()
      work()
      return .nanoseconds(Int64((monotonicSeconds() - began) * 1e9))
    }
    print("order of profiles here: \(order.map { "\($0)" }.joined(separator: ", "))")
  }

  private static let rounds = 20_000

  private static func material(_ profile: SRTPProfile) -> (key: [UInt8], salt: [UInt8]) {
    (
      Array(repeating: 3, count: profile.keyLength), Array(repeating: 5, count: profile.saltLength)
    )
  }

  private static func ownCost(_ profile: SRTPProfile, _ size: Int) -> (Double, Double) {
    let (key, salt) = material(profile)
    let sender = SRTPSender(SRTPKeys(profile, key: key, salt: salt))
    let receiver = SRTPReceiver(SRTPKeys(profile, key: key, salt: salt))
    let payload = [UInt8](repeating: 7, count: size)
    var header: [UInt8] = [0x80, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    // Every packet has a place of its own, so that all can be opened afterwards.
    let stride = size + 32
    var packets = [UInt8](repeating: 0, count: stride * rounds)
    var length = 0
    var began = monotonicSeconds()
    for number in 0..<rounds {
      header[2] = UInt8(number >> 8)
      header[3] = UInt8(number & 255)
      var room = packets.mutableSpan
      length = sender.protect(header.span, payload.span, into: &room, at: number * stride)
    }
    let protecting = (monotonicSeconds() - began) / Double(rounds) * 1e9
    var plain = [UInt8](repeating: 0, count: 2048)
    var opened = 0
    began = monotonicSeconds()
    for number in 0..<rounds {
      var room = plain.mutableSpan
      let packet = packets.span.extracting(number * stride..<number * stride + length)
      if receiver.unprotect(packet, into: &room) != nil { opened += 1 }
    }
    let opening = (monotonicSeconds() - began) / Double(rounds) * 1e9
    guard opened == rounds else { fail("\(rounds - opened) packets were not opened") }
    return (protecting, opening)
  }

  private static func peerCost(_ profile: SRTPProfile, _ size: Int) -> Double {
    let number =
      switch profile {
      case .aes128CMSHA180: srtp_profile_aes128_cm_sha1_80
      case .aeadAES128GCM: srtp_profile_aead_aes_128_gcm
      case .aeadAES256GCM: srtp_profile_aead_aes_256_gcm
      }
    let (key, salt) = material(profile)
    var policy = unsafe srtp_policy_t()
    unsafe srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, number)
    unsafe srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, number)
    unsafe policy.ssrc.type = ssrc_any_outbound
    unsafe policy.window_size = 1024
    var session: OpaquePointer?
    var bytes = key + salt
    unsafe bytes.withUnsafeMutableBufferPointer { material in
      unsafe policy.key = material.baseAddress
      guard unsafe srtp_create(&session, &policy) == srtp_err_status_ok else {
        fail("libsrtp2 refused a key")
      }
    }
    defer { unsafe srtp_dealloc(session) }
    let payload = [UInt8](repeating: 7, count: size)
    var packet: [UInt8] = [0x80, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    packet += payload + [UInt8](repeating: 0, count: 160)
    let began = monotonicSeconds()
    for number in 0..<rounds {
      packet[2] = UInt8(number >> 8)
      packet[3] = UInt8(number & 255)
      var length = Int32(12 + size)
      // It works in place: the payload has to be copied there for a fair sum.
      unsafe packet.withUnsafeMutableBytes { place in
        unsafe payload.withUnsafeBytes {
          unsafe place.baseAddress!.advanced(by: 12).copyMemory(from: $0.baseAddress!, byteCount: size)
        }
        _ = unsafe srtp_protect(session, place.baseAddress, &length)
      }
    }
    return (monotonicSeconds() - began) / Double(rounds) * 1e9
  }
}
