import ICE
import RTP
import SDP
import Simulation
import Testing
import WebRTC
import Wire

/// Offers of those who look, as far as codecs go: what aiortc writes is known from its source.
private enum Offers {
  private static func offer(_ video: [String], audio: [String] = []) -> String {
    let head = """
      v=0
      o=- 1 2 IN IP4 127.0.0.1
      s=-
      t=0 0
      a=group:BUNDLE 0 1
      a=fingerprint:sha-256 AA:48:A4:34:84:B8:89:FD:71:25:FD:35:29:9D:8F:84:0A:49:D4:E9:DC:33:D4:28:05:D4:E5:AA:3B:53:4D:A7
      a=ice-ufrag:4RtX
      a=ice-pwd:N0zhN6VXjO+ZLo9ZsCBrz4lQ
      a=setup:actpass

      """
    func line(_ kind: String, _ mid: Int, _ attributes: [String]) -> String {
      let types = attributes.compactMap { one in
        one.hasPrefix("rtpmap:") ? String(one.dropFirst(7).split(separator: " ")[0]) : nil
      }
      return "m=\(kind) 9 UDP/TLS/RTP/SAVPF \(types.joined(separator: " "))\nc=IN IP4 0.0.0.0\na=mid:\(mid)\n"
        + "a=rtcp-mux\na=recvonly\n" + attributes.map { "a=\($0)\n" }.joined()
    }
    return head
      + line("audio", 0, audio + ["rtpmap:111 opus/48000/2", "rtpmap:0 PCMU/8000", "rtpmap:8 PCMA/8000"])
      + line("video", 1, video)
  }
  static func h264(_ number: Int, _ profile: String) -> [String] {
    [
      "rtpmap:\(number) H264/90000", "rtcp-fb:\(number) goog-remb", "rtcp-fb:\(number) transport-cc",
      "rtcp-fb:\(number) ccm fir", "rtcp-fb:\(number) nack", "rtcp-fb:\(number) nack pli",
      "fmtp:\(number) level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=\(profile)",
      "rtpmap:\(number + 1) rtx/90000", "fmtp:\(number + 1) apt=\(number)",
    ]
  }
  static let aiortc = offer(
    ["rtpmap:97 VP8/90000", "rtpmap:98 rtx/90000", "fmtp:98 apt=97"] + h264(99, "42001f")
      + h264(101, "42e01f"))
  static func parse(_ text: String) throws -> SessionDescription {
    try SessionDescription(parsing: Array(text.replacing("\n", with: "\r\n").utf8))
  }
}

/// The parameter sets of streams as cameras send them: 640 by 480, nothing said of order.
func parameterSets(_ profile: UInt8, _ constraints: UInt8, level: UInt8 = 30) -> H264Parameters? {
  // Sets of the high profile say more in front.
  let rest: [UInt8] =
    profile == 100 ? [0xAC, 0xD9, 0x40, 0xA0, 0x3D, 0xA1] : [0xD9, 0x00, 0xA0, 0x47, 0xFE, 0xC8]
  return H264Parameters(sps: [0x67, profile, constraints, level] + rest, pps: [0x68, 0xCE, 0x3C, 0x80])
}

@Suite struct ViewerFormatsTests {
  private func choice(
    _ offer: SessionDescription, _ coding: PictureCoding, _ sound: ViewerSound = .none
  ) throws -> (UInt8, String?) {
    let formats = try ViewerFormats(offer, coding: coding, sound: sound)
    #expect(formats.picture.direction == .sendonly)
    let format = try #require(formats.picture.formats.first)
    return (format.payloadType, format.parameter("profile-level-id"))
  }

  @Test func chromiumGetsTheProfileOfTheStream() throws {
    let offer = try Captured.chromiumPage.description()
    let base = try #require(parameterSets(0x42, 0xC0))
    #expect(try choice(offer, .h264(base)) == (108, "42e01f"))
    #expect(try choice(offer, .h264(nil)) == (108, "42e01f"))
    #expect(try choice(offer, .h264(parameterSets(0x42, 0))) == (102, "42001f"))
    #expect(try choice(offer, .h264(parameterSets(0x4D, 0))) == (116, "4d001f"))
    // High is not offered by this build; its decoder takes it all the same.
    let high = try #require(parameterSets(0x64, 0))
    #expect(try choice(offer, .h264(high)) == (108, "42e01f"))
    #expect(try choice(offer, .vp8) == (96, nil))
  }

  @Test func aiortcTakesBaseline() throws {
    let offer = try Offers.parse(Offers.aiortc)
    #expect(try choice(offer, .h264(parameterSets(0x42, 0xC0))) == (101, "42e01f"))
    #expect(try choice(offer, .h264(parameterSets(0x64, 0))) == (101, "42e01f"))
  }

  @Test func firefoxWithoutItsPluginIsToldWhatItLacks() throws {
    let offer = try Captured.firefoxPage.description()
    let refusal = ViewerRefusal.coding(wanted: "H264", known: ["VP8", "VP9", "AV1"])
    #expect(throws: refusal) { try ViewerFormats(offer, coding: .h264(nil), sound: .none) }
    #expect(refusal.reason == "The camera sends H264; this player offers only VP8, VP9, AV1.")
    #expect(try choice(offer, .vp8) == (120, nil))
  }

  @Test func whoCannotBeShownAnythingIsToldWhy() throws {
    let audio = try Captured.chromiumAudio.description()
    #expect(throws: ViewerRefusal.noPicture) { try ViewerFormats(audio, coding: .vp8, sound: .none) }
    let sending = try Captured.chromiumPage.description {
      $0 = $0.replacing("a=recvonly", with: "a=sendonly")
    }
    #expect(throws: ViewerRefusal.noPicture) { try ViewerFormats(sending, coding: .vp8, sound: .none) }
    let plain = try SessionDescription(
      parsing: Array("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 RTP/AVP 96\r\n".utf8))
    #expect(throws: ViewerRefusal.description(.notWebRTC)) {
      try ViewerFormats(plain, coding: .vp8, sound: .none)
    }
  }

  @Test func soundIsTheCamerasOwnWhereItIsKnown() throws {
    let page = try Captured.chromiumPage.description()
    let heard = try ViewerFormats(page, coding: .vp8, sound: .hears(.pcmu)).sound
    #expect(heard?.formats.map(\.payloadType) == [0, 126])
    #expect(heard?.direction == .sendonly)
    let talks = try ViewerFormats(page, coding: .vp8, sound: .talks(.pcma)).sound
    #expect(talks?.direction == .sendrecv)
    let only = try Offers.parse(Offers.aiortc)
    #expect(try ViewerFormats(only, coding: .vp8, sound: .talks(.pcma)).sound?.direction == .sendonly)
    #expect(try ViewerFormats(only, coding: .vp8, sound: .none).sound == nil)
    #expect(try ViewerFormats(only, coding: .vp8, sound: .hears(.other)).sound?.formats.first == .pcma)
  }

  @Test func theAnswerHasWhatAViewerNeeds() throws {
    var turn = Turn(now: Instant(nanoseconds: 0), random: Random(seed: 42))
    var configuration = PeerConfiguration(
      ice: ICEConfiguration(
        .lite, bases: [ICEBase(.udp, local: PeerTown.gatewayAddress, socket: PeerTown.gatewaySocket)]),
      audioSource: 0xA0, videoSource: 0xA1, canonicalName: "vestibule")
    configuration.videoFeedback = ["nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"]
    configuration.repairSource = 0xA2
    configuration.videoExtensions = ExtensionIDs.Kind.allCases
    for capture in [Captured.chromiumPage, .firefoxPage] {
      let connection = PeerConnection(configuration, SimulatedDTLS(number: 0xAB), &turn)
      let offer = try capture.description()
      let coding = capture == .chromiumPage ? PictureCoding.h264(nil) : .vp8
      let formats = try ViewerFormats(offer, coding: coding, sound: .none)
      try connection.setRemote(offer: offer)
      let answer = try connection.createAnswer(audio: nil, video: formats.picture, &turn)
      #expect(answer.media[0].port == 0)
      let text = String(decoding: answer.media[1].attributesText.utf8, as: UTF8.self)
      let expected =
        capture == .chromiumPage
        ? """
        sendonly
        rtcp-mux
        rtcp-rsize
        extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
        extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
        extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
        extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
        rtpmap:108 H264/90000
        fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
        rtcp-fb:108 nack
        rtcp-fb:108 nack pli
        rtcp-fb:108 ccm fir
        rtcp-fb:108 transport-cc
        rtcp-fb:108 goog-remb
        rtpmap:109 rtx/90000
        fmtp:109 apt=108
        msid:vestibule video
        ssrc-group:FID 161 162
        ssrc:161 cname:vestibule
        ssrc:161 msid:vestibule video
        ssrc:162 cname:vestibule
        ssrc:162 msid:vestibule video
        """
        : """
        sendonly
        rtcp-mux
        rtcp-rsize
        extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid
        extmap:4 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
        extmap:7 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
        extmap:6/sendonly http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
        rtpmap:120 VP8/90000
        fmtp:120 max-fs=12288;max-fr=60
        rtcp-fb:120 nack
        rtcp-fb:120 nack pli
        rtcp-fb:120 ccm fir
        rtcp-fb:120 transport-cc
        rtcp-fb:120 goog-remb
        rtpmap:124 rtx/90000
        fmtp:124 apt=120
        msid:vestibule video
        ssrc-group:FID 161 162
        ssrc:161 cname:vestibule
        ssrc:161 msid:vestibule video
        ssrc:162 cname:vestibule
        ssrc:162 msid:vestibule video
        """
      #expect(text.contains(expected), "\(text)")
      let terms = try #require(connection.terms(.video))
      #expect(terms.repeats)
      #expect(terms.repairs == (capture == .chromiumPage ? [108: 109] : [120: 124]))
      #expect(terms.extensions[.transportSequence] == (capture == .chromiumPage ? 3 : 7))
      #expect(terms.extensions[.captureTime] == 0)
      #expect(terms.extensions.mid == [0x31])
      #expect(connection.settled(.video)?.formats.map(\.isRepair) == [false])
    }
  }

  @Test func anOfferOfOursBringsRepairsToo() throws {
    let town = [UInt32(1), 2].map { number -> PeerConnection in
      var turn = Turn(now: Instant(nanoseconds: 0), random: Random(seed: UInt64(number)))
      var configuration = PeerConfiguration(
        ice: ICEConfiguration(
          .lite, bases: [ICEBase(.udp, local: PeerTown.gatewayAddress, socket: PeerTown.gatewaySocket)]),
        audioSource: number, videoSource: number + 10, canonicalName: "vestibule")
      configuration.repairSource = number + 20
      configuration.takesPictures = true
      configuration.videoFeedback = ["nack"]
      configuration.videoExtensions = [.transportSequence]
      return PeerConnection(configuration, SimulatedDTLS(number: 1), &turn)
    }
    var turn = Turn(now: Instant(nanoseconds: 0), random: Random(seed: 9))
    let vp8 = Format(payloadType: 96, encoding: "VP8", clockRate: 90_000)
    let offer = town[0].createOffer(
      audio: PeerMedia([.pcma], .sendrecv), video: PeerMedia([vp8], .sendonly), &turn)
    try town[1].setRemote(offer: offer)
    let answer = try town[1].createAnswer(
      audio: PeerMedia([.pcma], .sendrecv), video: PeerMedia([vp8], .recvonly), &turn)
    try town[0].setRemote(answer: answer, &turn)
    for end in town {
      #expect(end.terms(.video)?.repairs == [96: 97])
      #expect(end.terms(.video)?.repeats == true)
      #expect(end.terms(.video)?.extensions[.transportSequence] == 3)
      #expect(end.terms(.video)?.extensions[.sendTime] == 0)
    }
  }
}

extension MediaDescription {
  fileprivate var attributesText: String {
    attributes.map { $0.name + ($0.value.map { ":\($0)" } ?? "") }.joined(separator: "\n")
  }
}
