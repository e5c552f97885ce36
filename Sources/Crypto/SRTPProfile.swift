// SRTP's protection profiles and the keys that a DTLS handshake exports for them (RFC 5764, RFC 7714).
//
// Responsible for: the numbers of each profile, cutting exported keying material into the four parts, and ranking
// the profiles by what this CPU does best. Keys are never printed.

package import Wire

/// A protection profile, with its number in the `use_srtp` extension (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
package enum SRTPProfile: UInt16, Sendable, CaseIterable {
  case aes128CMSHA180 = 0x0001
  case aeadAES128GCM = 0x0007
  case aeadAES256GCM = 0x0008

  /// Bytes of a master key.
  package var keyLength: Int { self == .aeadAES256GCM ? 32 : 16 }
  /// Bytes of a master salt.
  package var saltLength: Int { self == .aes128CMSHA180 ? 14 : 12 }
  /// Bytes that protection adds to an RTP packet.
  package var tagLength: Int { self == .aes128CMSHA180 ? 10 : 16 }
  /// The most that protection adds to an RTCP compound: the tag and the index word.
  package var controlOverhead: Int { tagLength + 4 }
  /// Bytes of keying material for both directions.
  package var materialLength: Int { 2 * (keyLength + saltLength) }

  /// What OpenSSL calls them, in this order.
  static func names(_ profiles: [SRTPProfile]) -> String { profiles.map(\.name).joined(separator: ":") }

  /// OpenSSL's name.
  private var name: String {
    switch self {
    case .aes128CMSHA180: "SRTP_AES128_CM_SHA1_80"
    case .aeadAES128GCM: "SRTP_AEAD_AES_128_GCM"
    case .aeadAES256GCM: "SRTP_AEAD_AES_256_GCM"
    }
  }

  /// The order for a CPU with instructions for AES and for carry-less multiplication.
  package static let gcmFirst: [SRTPProfile] = [.aeadAES128GCM, .aeadAES256GCM, .aes128CMSHA180]
  /// The order for one without, where GCM costs about half as much again (a Raspberry Pi 4).
  package static let counterModeFirst: [SRTPProfile] = [.aes128CMSHA180, .aeadAES128GCM, .aeadAES256GCM]

  /// Ranks the profiles by a measurement: `stopwatch` runs what it is given and says how long that took. Costs a few
  /// milliseconds, once, at start. Each is run in turns with the other, and the quicker turn counts, so that one
  /// interruption decides nothing.
  package static func ranked(by stopwatch: (() -> Void) -> Interval) -> [SRTPProfile] {
    var best: [SRTPProfile: Interval] = [:]
    for _ in 0..<3 {
      for profile in [SRTPProfile.aeadAES128GCM, .aes128CMSHA180] {
        let length = profile.keyLength
        let sender = SRTPSender(
          SRTPKeys(
            profile, key: Array(repeating: 7, count: length),
            salt: Array(repeating: 9, count: profile.saltLength)))
        var buffer = [UInt8](repeating: 0, count: 1300)
        var header: [UInt8] = [0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        let voice = [UInt8](repeating: 1, count: 160)
        let picture = [UInt8](repeating: 1, count: 1200)
        let time = stopwatch {
          for number in 0..<200 {
            header[2] = UInt8(number >> 8)
            header[3] = UInt8(number & 255)
            var room = buffer.mutableSpan
            let payload = number.isMultiple(of: 2) ? voice.span : picture.span
            _ = sender.protect(header.span, payload, into: &room)
          }
        }
        best[profile] = best[profile].map { min($0, time) } ?? time
      }
    }
    guard let gcm = best[.aeadAES128GCM], let counter = best[.aes128CMSHA180] else { return gcmFirst }
    return counter < gcm ? counterModeFirst : gcmFirst
  }
}

/// The master key and salt of one direction.
package struct SRTPKeys: Sendable, Equatable {
  package let profile: SRTPProfile
  let key: [UInt8]
  let salt: [UInt8]

  /// The lengths must be the profile's.
  package init(_ profile: SRTPProfile, key: [UInt8], salt: [UInt8]) {
    precondition(
      key.count == profile.keyLength && salt.count == profile.saltLength,
      "a master key and salt have the lengths of their profile")
    self.profile = profile
    self.key = key
    self.salt = salt
  }
}

/// Both directions, seen from one side.
package struct SRTPKeyPair: Sendable, Equatable {
  /// What we protect with.
  package var outbound: SRTPKeys
  /// What the peer protects with.
  package var inbound: SRTPKeys

  /// Cuts `material` as RFC 5764 section 4.2 lays it out: client's key, server's key, client's salt, server's salt.
  /// Nil unless it has the profile's length.
  package init?(_ profile: SRTPProfile, material: [UInt8], role: DTLSRole) {
    guard material.count == profile.materialLength else { return nil }
    let key = profile.keyLength
    let salts = 2 * key
    let client = SRTPKeys(
      profile, key: Array(material[..<key]), salt: Array(material[salts..<salts + profile.saltLength]))
    let server = SRTPKeys(
      profile, key: Array(material[key..<salts]), salt: Array(material[(salts + profile.saltLength)...]))
    (outbound, inbound) = role == .client ? (client, server) : (server, client)
  }
}

// Whoever prints a value, or what holds it, reads no key.
extension SRTPKeys: CustomStringConvertible, CustomReflectable {
  package var description: String { "\(profile), key withheld" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
extension SRTPKeyPair: CustomStringConvertible, CustomReflectable {
  package var description: String { "\(outbound.profile), keys withheld" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
