internal import COpenSSL
internal import CSRTP

/// Opens what a peer protected, RTP and RTCP, by libsrtp2: authentication, replay window, rollover.
///
/// Assumes: only bytes from an address that ICE validated come here. Nothing changes state before its tag was
/// verified, so forged packets cost their sender and are counted, whatever their number. A peer may use a bounded
/// number of sources; packets of further ones are dropped before libsrtp2 would make room for them.
@safe  // Owns the libsrtp2 session; used by one thread at a time, as it is not Sendable.
package final class SRTPReceiver {
  /// The most sources of one peer in its lifetime under one key.
  package static let sourceLimit = 32
  /// The longest packet that is opened.
  package static let packetLimit = 2048

  package let profile: SRTPProfile
  /// Packets whose tag is wrong, or that are no SRTP at all.
  package private(set) var forged: UInt64 = 0
  /// Packets that came before, or are older than the window.
  package private(set) var replayed: UInt64 = 0
  /// Packets of a source too many.
  package private(set) var unknown: UInt64 = 0
  private let session: OpaquePointer
  private var sources: [UInt32] = []

  package init(_ keys: SRTPKeys) {
    profile = keys.profile
    unsafe session = SRTPLibrary.session(keys, direction: ssrc_any_inbound)
    sources.reserveCapacity(SRTPReceiver.sourceLimit)
  }

  deinit { unsafe srtp_dealloc(session) }

  /// Writes the plain RTP packet that `packet` protects into `buffer` and gives its length; nil, and counted, when it
  /// is forged or was here before. `buffer` must hold all of `packet`.
  package func unprotect(_ packet: Span<UInt8>, into buffer: inout MutableSpan<UInt8>) -> Int? {
    // Shorter ones cannot carry a tag; libsrtp2 2.5 must not be asked about them.
    guard packet.count >= 12 + profile.tagLength, packet.count <= min(buffer.count, SRTPReceiver.packetLimit)
    else {
      forged += 1
      return nil
    }
    let ssrc =
      UInt32(packet[8]) << 24 | UInt32(packet[9]) << 16 | UInt32(packet[10]) << 8 | UInt32(packet[11])
    let isKnown = sources.contains(ssrc)
    guard isKnown || sources.count < SRTPReceiver.sourceLimit else {
      unknown += 1
      return nil
    }
    let length = unsafe open(packet, into: &buffer) { unsafe srtp_unprotect($0, $1, $2) }
    if length != nil, !isKnown { sources.append(ssrc) }
    return length
  }

  /// The same for an SRTCP compound.
  package func unprotectControl(_ compound: Span<UInt8>, into buffer: inout MutableSpan<UInt8>) -> Int? {
    guard compound.count >= 8 + profile.controlOverhead,
      compound.count <= min(buffer.count, SRTPReceiver.packetLimit)
    else {
      forged += 1
      return nil
    }
    let ssrc =
      UInt32(compound[4]) << 24 | UInt32(compound[5]) << 16 | UInt32(compound[6]) << 8 | UInt32(compound[7])
    let isKnown = sources.contains(ssrc)
    guard isKnown || sources.count < SRTPReceiver.sourceLimit else {
      unknown += 1
      return nil
    }
    let length = unsafe open(compound, into: &buffer) { unsafe srtp_unprotect_rtcp($0, $1, $2) }
    if length != nil, !isKnown { sources.append(ssrc) }
    return length
  }

  private func open(
    _ packet: Span<UInt8>, into buffer: inout MutableSpan<UInt8>,
    _ step: (OpaquePointer, UnsafeMutableRawPointer, UnsafeMutablePointer<Int32>) -> srtp_err_status_t
  ) -> Int? {
    let (status, length) = unsafe buffer.withUnsafeMutableBufferPointer { room in
      unsafe packet.withUnsafeBufferPointer { bytes in
        let place = UnsafeMutableRawPointer(room.baseAddress!)
        unsafe place.copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
        var length = Int32(bytes.count)
        let status = unsafe step(session, place, &length)
        return (status, Int(length))
      }
    }
    switch status {
    case srtp_err_status_ok: return length
    case srtp_err_status_replay_fail, srtp_err_status_replay_old: replayed += 1
    default: forged += 1
    }
    return nil
  }
}

/// Protects the RTCP that we send, by libsrtp2: a few compounds a second.
@safe  // Owns the libsrtp2 session; used by one thread at a time, as it is not Sendable.
package final class SRTPControlSender {
  package let profile: SRTPProfile
  private let session: OpaquePointer

  package init(_ keys: SRTPKeys) {
    profile = keys.profile
    unsafe session = SRTPLibrary.session(keys, direction: ssrc_any_outbound)
  }

  deinit { unsafe srtp_dealloc(session) }

  /// Writes the protected compound into `buffer` from `offset` on and gives its length; 0 when it does not fit or is
  /// no compound. The sources in it are ours, so their number is small.
  package func protect(
    _ compound: Span<UInt8>, into buffer: inout MutableSpan<UInt8>, at offset: Int = 0
  ) -> Int {
    guard compound.count >= 8, offset >= 0,
      buffer.count - offset >= compound.count + profile.controlOverhead
    else { return 0 }
    return unsafe buffer.withUnsafeMutableBufferPointer { room in
      unsafe compound.withUnsafeBufferPointer { bytes in
        let place = unsafe UnsafeMutableRawPointer(room.baseAddress! + offset)
        unsafe place.copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
        var length = Int32(bytes.count)
        guard unsafe srtp_protect_rtcp(session, place, &length) == srtp_err_status_ok else { return 0 }
        return Int(length)
      }
    }
  }
}

/// What both have in common.
private enum SRTPLibrary {
  /// Set up once per process, before the first session.
  private static let isReady: Bool = srtp_init() == srtp_err_status_ok

  static func session(_ keys: SRTPKeys, direction: srtp_ssrc_type_t) -> OpaquePointer {
    precondition(isReady, "libsrtp2 did not start")
    let profile =
      switch keys.profile {
      case .aes128CMSHA180: srtp_profile_aes128_cm_sha1_80
      case .aeadAES128GCM: srtp_profile_aead_aes_128_gcm
      case .aeadAES256GCM: srtp_profile_aead_aes_256_gcm
      }
    var policy = unsafe srtp_policy_t()
    var status = unsafe srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, profile)
    precondition(status == srtp_err_status_ok, "libsrtp2 lacks a profile")
    status = unsafe srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, profile)
    precondition(status == srtp_err_status_ok, "libsrtp2 lacks a profile")
    unsafe policy.ssrc.type = direction
    // Retransmissions of pictures come late: RFC 3711 asks for 64 at least.
    unsafe policy.window_size = 1024
    var material = keys.key + keys.salt
    var session: OpaquePointer?
    status = unsafe material.withUnsafeMutableBufferPointer { bytes in
      unsafe policy.key = bytes.baseAddress
      let status = unsafe srtp_create(&session, &policy)
      unsafe OPENSSL_cleanse(bytes.baseAddress, bytes.count)
      return status
    }
    guard status == srtp_err_status_ok, let made = unsafe session else {
      preconditionFailure("libsrtp2 refused a key")
    }
    return unsafe made
  }
}
