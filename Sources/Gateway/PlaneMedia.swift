internal import Calls
internal import ICE
internal import MediaPlane
internal import SDP
internal import WebRTC
internal import Wire

/// Gives `Calls` the media plane: what a description settled becomes what a stream sends and takes.
final class PlaneMedia: Media {
  private let plane: Plane
  /// Addresses that media may use, routable ones first.
  var addresses: [IPAddress]
  private let ice: Configuration.ICE

  init(plane: Plane, addresses: [IPAddress], ice: Configuration.ICE) {
    self.plane = plane
    self.ice = ice
    self.addresses = addresses
  }

  func open(video: Bool, facing peer: IPAddress?) -> MediaLeg? {
    guard let address = address(facing: peer),
      let ports = try? plane.open(LegSpec(kinds: video ? .audioAndVideo : .audio, address: address))
    else { return nil }
    return MediaLeg(
      id: MediaLegID(ports.leg.handle), address: ports.address, audio: ports.audio,
      audioRTCP: ports.audioRTCP, video: ports.video, videoRTCP: ports.videoRTCP)
  }

  func openPeer(video: Bool, offer: SessionDescription?) -> (any LegDescriptions)? {
    let isLite = offer.map(PeerConnection.isLite) ?? false
    let spec = PeerSpec(
      kinds: video ? .audioAndVideo : .audio,
      mode: PlaneMedia.mode(ice, facing: offer, hasServers: plane.hasServers),
      role: isLite || offer == nil ? .controlling : .controlled, facingLite: ice == .auto ? .checks : .fails)
    guard let leg = try? plane.openPeer(spec) else { return nil }
    return PeerDescriptions(leg, of: plane)
  }

  /// How ICE is done with whoever offers this; nil: with whom we offer to.
  static func mode(
    _ ice: Configuration.ICE, facing offer: SessionDescription?, hasServers: Bool
  ) -> ICEMode {
    // A peer that is lite sends no checks: then we do. Servers help those alone who check.
    let isLite = offer.map(PeerConnection.isLite) ?? false
    return ice == .full || ice == .auto && (isLite || hasServers) ? .full : .lite
  }

  /// Ours that shares the longest prefix with the peer's.
  private func address(facing peer: IPAddress?) -> IPAddress? {
    guard let peer else { return addresses.first }
    var best: IPAddress?
    var longest = -1
    for candidate in addresses where candidate.isV4 == peer.isV4 {
      let high = (candidate.high ^ peer.high).leadingZeroBitCount
      let length = high < 64 ? high : 64 + (candidate.low ^ peer.low).leadingZeroBitCount
      if length > longest {
        longest = length
        best = candidate
      }
    }
    return best
  }

  func setStreams(_ leg: MediaLegID, audio: LegStream?, video: LegStream?) {
    plane.setRemote(LegID(leg.handle), audio: audio.flatMap(remote), video: video.flatMap(remote))
  }

  private func remote(_ stream: LegStream) -> RemoteStream? {
    // The path of a peer connection is its own affair: its streams have no address.
    guard let rtp = stream.form == .webRTC ? Endpoint(.anyV4, port: 9) : stream.peer.rtp else { return nil }
    return RemoteStream(
      rtp: rtp, rtcp: stream.peer.rtcp, rtcpMux: stream.peer.muxesRTCP,
      signalledFrom: stream.signalledFrom ?? rtp.address,
      formats: stream.peer.formats.filter(\.isMedia).map { StreamFormat($0, ptime: stream.peer.ptime) },
      received: stream.receiving.filter(\.isMedia).map { StreamFormat($0, ptime: stream.peer.ptime) },
      telephoneEvent: stream.peer.telephoneEvent,
      receivedTelephoneEvent: stream.receiving.first { $0.audioCodec == .telephoneEvent }?.payloadType,
      direction: MediaDirection(facing: stream.peer.direction))
  }

  func affords(_ first: LegStream?, _ second: LegStream?) -> Bool {
    guard let first = first.flatMap(remote), let second = second.flatMap(remote) else { return true }
    return plane.affords(first, second)
  }
  func bridge(_ first: MediaLegID, _ second: MediaLegID, keys: KeyPassage) {
    plane.bridge(
      LegID(first.handle), LegID(second.handle),
      keys: KeyPolicy(
        fromA: keys.fromFirst ? .translate : .consume, fromB: keys.fromSecond ? .translate : .consume))
  }
  func unbridge(_ leg: MediaLegID) { plane.unbridge(LegID(leg.handle)) }
  func page(from source: MediaLegID, to listeners: [MediaLegID]) {
    plane.page(from: LegID(source.handle), to: listeners.map { LegID($0.handle) })
  }
  func play(_ tone: CallTone, on leg: MediaLegID) {
    plane.play(tone == .opened ? .opened : .refused, on: LegID(leg.handle))
  }
  func sendKeys(_ digits: String, on leg: MediaLegID) { _ = plane.sendKeys(digits, on: LegID(leg.handle)) }
  func counts(_ leg: MediaLegID) -> StreamCounts { counts(plane.statistics(LegID(leg.handle))) }
  func close(_ leg: MediaLegID) -> StreamCounts { counts(plane.close(LegID(leg.handle))) }

  private func counts(_ statistics: LegStatistics?) -> StreamCounts {
    guard let statistics else { return StreamCounts() }
    let audio = statistics.audio
    return StreamCounts(
      packetsIn: Int(clamping: audio.packetsIn), packetsOut: Int(clamping: audio.packetsOut),
      lost: Int(clamping: audio.lost), jitter: Int(audio.jitter.milliseconds),
      foreign: Int(clamping: statistics.foreign),
      roundTrip: audio.roundTrip.map { Int($0.milliseconds) },
      opinion: audio.opinion.map { Int($0 * 100 + 0.5) })
  }
}
