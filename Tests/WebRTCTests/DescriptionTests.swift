import Foundation
import ICE
import SDP
import Simulation
import Testing
import WebRTC
import Wire

/// What browsers really said: see `Descriptions/README.md`.
enum Captured: String, CaseIterable {
  case chromiumAudio = "chromium-audio-offer"
  case chromiumPage = "chromium-page-offer"
  case chromiumPhone = "chromium-phone-offer"
  case firefoxAudio = "firefox-audio-offer"
  case firefoxPage = "firefox-page-offer"
  case firefoxPhone = "firefox-phone-offer"

  var text: String {
    get throws {
      let folder = Bundle.module.resourceURL!.appendingPathComponent("Descriptions")
      return try String(contentsOf: folder.appendingPathComponent(rawValue + ".sdp"), encoding: .utf8)
    }
  }
  func description(_ edit: (inout String) -> Void = { _ in }) throws -> SessionDescription {
    var text = try text
    edit(&text)
    return try SessionDescription(parsing: Array(text.utf8))
  }
}

/// A lite gateway that has heard nothing yet.
private final class Desk {
  var turn = Turn(now: Instant(nanoseconds: 0), random: Random(seed: 42))
  let connection: PeerConnection

  init() {
    var configuration = PeerConfiguration(
      ice: ICEConfiguration(
        .lite, bases: [ICEBase(.udp, local: PeerTown.gatewayAddress, socket: PeerTown.gatewaySocket)]),
      audioSource: 0xA0, videoSource: 0xA1, canonicalName: "vestibule")
    configuration.videoFeedback = ["nack", "nack pli", "ccm fir"]
    connection = PeerConnection(configuration, SimulatedDTLS(number: 0xAB), &turn)
  }

  /// Answers with the first of the browser's formats that we know, and keys.
  func answer(video: Direction? = .sendonly) throws -> SessionDescription {
    let audio = connection.offered(.audio).map { offered in
      let known = offered.formats.filter { [.pcma, .telephoneEvent].contains($0.audioCodec) }
      return PeerMedia(known.filter { $0.clockRate == 8000 }, .sendrecv)
    }
    let picture = video.flatMap { direction in
      connection.offered(.video).flatMap { H264Profile.choose(of: $0.formats, for: nil) }.map {
        PeerMedia([$0], direction)
      }
    }
    return try connection.createAnswer(audio: audio, video: picture, &turn)
  }
}

private func lines(_ description: SessionDescription) -> [String] {
  String(decoding: description.bytes, as: UTF8.self).split(separator: "\r\n").map(String.init)
}

@Suite struct DescriptionTests {
  @Test func chromiumsPageGetsThisAnswer() throws {
    let desk = Desk()
    try desk.connection.setRemote(offer: try Captured.chromiumPage.description())
    let answer = try desk.answer()
    let own = desk.connection.localCredentials
    let fingerprint = SimulatedDTLS(number: 0xAB).fingerprint
    let expected = """
      v=0
      o=- \(answer.origin.id) 1 IN IP4 0.0.0.0
      s=-
      c=IN IP4 0.0.0.0
      t=0 0
      a=group:BUNDLE 0 1
      a=extmap-allow-mixed
      a=ice-lite
      a=ice-options:trickle ice2
      a=msid-semantic:WMS *
      m=audio 9 UDP/TLS/RTP/SAVPF 8 126
      c=IN IP4 0.0.0.0
      a=mid:0
      a=ice-ufrag:\(own.fragmentText)
      a=ice-pwd:\(own.passwordText)
      a=fingerprint:\(fingerprint)
      a=setup:passive
      a=sendrecv
      a=rtcp-mux
      a=rtcp-rsize
      a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
      a=rtpmap:8 PCMA/8000
      a=rtpmap:126 telephone-event/8000
      a=ptime:20
      a=msid:vestibule audio
      a=ssrc:160 cname:vestibule
      a=ssrc:160 msid:vestibule audio
      a=candidate:1 1 udp 2130706431 192.0.2.1 8189 typ host
      a=end-of-candidates
      m=video 9 UDP/TLS/RTP/SAVPF 108
      c=IN IP4 0.0.0.0
      a=mid:1
      a=ice-ufrag:\(own.fragmentText)
      a=ice-pwd:\(own.passwordText)
      a=fingerprint:\(fingerprint)
      a=setup:passive
      a=sendonly
      a=rtcp-mux
      a=rtcp-rsize
      a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
      a=rtpmap:108 H264/90000
      a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
      a=rtcp-fb:108 nack
      a=rtcp-fb:108 nack pli
      a=rtcp-fb:108 ccm fir
      a=msid:vestibule video
      a=ssrc:161 cname:vestibule
      a=ssrc:161 msid:vestibule video
      """
    #expect(lines(answer) == expected.split(separator: "\n").map(String.init))
  }

  @Test func theSameQuestionGetsTheSameAnswerAndAnotherOneAnotherVersion() throws {
    let desk = Desk()
    try desk.connection.setRemote(offer: try Captured.chromiumPage.description())
    let first = try desk.answer()
    #expect(try desk.answer().bytes == first.bytes)
    // The same offer again, as a session refresh brings it.
    try desk.connection.setRemote(offer: try Captured.chromiumPage.description())
    #expect(try desk.answer().bytes == first.bytes)
    let second = try desk.answer(video: nil)
    #expect(second.origin.id == first.origin.id)
    #expect(second.origin.version == "2")
    #expect(second.media[1].port == 0)
  }

  @Test(arguments: Captured.allCases)
  func everyBrowsersOfferIsAnswered(capture: Captured) throws {
    let desk = Desk()
    let offer = try capture.description()
    #expect(PeerConnection.isWebRTC(offer))
    #expect(!PeerConnection.isLite(offer))
    try desk.connection.setRemote(offer: offer)
    let answer = try desk.answer()
    #expect(try SessionDescription(parsing: answer.bytes) == answer)
    #expect(answer.media.count == offer.media.count)
    #expect(answer.media.map(\.kind) == offer.media.map(\.kind))
    let audio = try #require(desk.connection.settled(.audio))
    #expect(audio.direction == .sendrecv)
    #expect(audio.media?.audioCodec == .pcma)
    #expect(audio.telephoneEvent != nil)
    // Firefox without its plugin has no H.264: its picture is refused, and its bundle holds the sound alone.
    let hasPicture = desk.connection.settled(.video) != nil
    #expect(hasPicture == (capture == .chromiumPage || capture == .chromiumPhone))
    let text = String(decoding: answer.bytes, as: UTF8.self)
    #expect(text.contains(hasPicture ? "a=group:BUNDLE 0 1\r\n" : "a=group:BUNDLE 0\r\n"))
    if hasPicture { #expect(desk.connection.settled(.video)?.direction == .sendonly) }
    // Never a camera.
    for line in answer.media where line.kind == .video {
      #expect(!line.attributes.contains { $0.name == "sendrecv" || $0.name == "recvonly" })
    }
    // The transport stands in each accepted line, the candidates in the first.
    for (place, line) in answer.media.enumerated() where line.port != 0 {
      for name in ["ice-ufrag", "ice-pwd", "fingerprint", "setup", "mid", "rtcp-mux"] {
        #expect(line.attributes.contains { $0.name == name }, "\(name)")
      }
      #expect(line.attributes.contains { $0.name == "candidate" } == (place == 0))
    }
    // In those that are refused it stands too, with the formats: some players read no answer without them.
    for (asked, line) in zip(offer.media, answer.media) where line.port == 0 {
      for name in ["ice-ufrag", "ice-pwd", "fingerprint", "setup", "mid", "rtcp-mux", "inactive"] {
        #expect(line.attributes.contains { $0.name == name }, "\(name)")
      }
      #expect(!line.attributes.contains { $0.name == "candidate" })
      #expect(
        line.attributes.filter { $0.name == "rtpmap" } == asked.attributes.filter { $0.name == "rtpmap" })
    }
  }

  @Test func whoSpeaksNothingElseThanMultiplexedIsAnsweredLikewise() throws {
    for saysSo in [true, false] {
      let desk = Desk()
      var offer = try Captured.chromiumAudio.description()
      for place in offer.media.indices where saysSo {
        offer.media[place].attributes.append(Attribute("rtcp-mux-only"))
      }
      try desk.connection.setRemote(offer: offer)
      let answer = try desk.answer()
      for line in answer.media where line.port != 0 {
        #expect(line.attributes.contains { $0.name == "rtcp-mux-only" } == saysSo)
      }
    }
  }

  @Test func holdIsFollowedAndEnded() throws {
    let desk = Desk()
    try desk.connection.setRemote(offer: try Captured.chromiumAudio.description())
    let first = try desk.answer()
    for (word, wanted) in [
      ("sendonly", Direction.recvonly), ("inactive", .inactive), ("recvonly", .sendonly),
      ("sendrecv", .sendrecv),
    ] {
      let offer = try Captured.chromiumAudio.description {
        $0 = $0.replacing("a=sendrecv", with: "a=" + word)
      }
      try desk.connection.setRemote(offer: offer)
      let answer = try desk.answer()
      #expect(desk.connection.settled(.audio)?.direction == wanted)
      #expect(answer.media[0].attributes.contains { $0.name == wanted.rawValue })
      // Nobody starts anew for that.
      for name in ["ice-ufrag", "ice-pwd", "fingerprint", "setup"] {
        #expect(
          answer.media[0].attributes.first { $0.name == name }
            == first.media[0].attributes.first { $0.name == name })
      }
    }
  }

  @Test func aSecondOfferWithOtherCredentialsIsARestart() throws {
    let desk = Desk()
    try desk.connection.setRemote(offer: try Captured.chromiumAudio.description())
    _ = try desk.answer()
    let before = desk.connection.localCredentials
    let offer = try Captured.chromiumAudio.description {
      $0 = $0.replacing("a=ice-ufrag:gs8Z", with: "a=ice-ufrag:XXXX")
    }
    #expect(offer != (try Captured.chromiumAudio.description()))
    try desk.connection.setRemote(offer: offer)
    #expect(desk.connection.localCredentials == before)
    desk.connection.withdraw()
    #expect(desk.connection.localCredentials == before)
    try desk.connection.setRemote(offer: offer)
    let answer = try desk.answer()
    #expect(desk.connection.localCredentials != before)
    #expect(
      answer.media[0].attributes.contains(
        Attribute("ice-ufrag", desk.connection.localCredentials.fragmentText)))
  }

  @Test func whoIsClientIsSettledByTheOffer() throws {
    for (offered, answered) in [
      ("actpass", "passive"), ("active", "passive"), ("passive", "active"),
    ] {
      let desk = Desk()
      let offer = try Captured.firefoxAudio.description {
        $0 = $0.replacing("a=setup:actpass", with: "a=setup:" + offered)
      }
      try desk.connection.setRemote(offer: offer)
      let answer = try desk.answer()
      #expect(answer.media[0].attributes.contains(Attribute("setup", answered)))
    }
  }

  @Test func offersThatCannotBeAreRefusedWithASentence() throws {
    let cases: [(PeerRefusal, (inout String) -> Void)] = [
      (.notWebRTC, { $0 = $0.replacing("UDP/TLS/RTP/SAVPF", with: "RTP/AVP") }),
      (.notWebRTC, { $0 = $0.replacing("m=audio 58776", with: "m=audio 0") }),
      (.notWebRTC, { $0 = $0.replacing("BUNDLE 0", with: "BUNDLE 7") }),
      (.noMux, { $0 = $0.replacing("a=rtcp-mux\r\n", with: "") }),
      (.noCredentials, { $0 = $0.replacing("a=ice-pwd:", with: "a=ice-pw:") }),
      (.noCredentials, { $0 = $0.replacing("a=ice-ufrag:gs8Z", with: "a=ice-ufrag:g") }),
      (.noFingerprint, { $0 = $0.replacing("a=fingerprint:sha-256", with: "a=fingerprint:sha-1") }),
      (.noFingerprint, { $0 = $0.replacing("a=fingerprint:", with: "a=fingerprinted:") }),
    ]
    for (refusal, edit) in cases {
      let desk = Desk()
      let offer = try Captured.chromiumAudio.description(edit)
      #expect(throws: refusal) { try desk.connection.setRemote(offer: offer) }
      #expect(refusal.reason.hasSuffix("."))
      #expect(desk.connection.offered(.audio) == nil)
    }
    let desk = Desk()
    try desk.connection.setRemote(
      offer: try Captured.chromiumAudio.description { $0 = $0.replacing("PCMA/8000", with: "PCMX/8000") })
    #expect(throws: PeerRefusal.noSharedCodec) {
      // Payload type 8 without its map would still be PCMA; named otherwise it is not.
      try desk.connection.createAnswer(
        audio: PeerMedia([.pcma], .sendrecv), video: nil, &desk.turn)
    }
  }

  @Test func withoutABundleOnlyTheSoundIsTaken() throws {
    let desk = Desk()
    let offer = try Captured.chromiumPage.description {
      $0 = $0.replacing("a=group:BUNDLE 0 1\r\n", with: "")
    }
    try desk.connection.setRemote(offer: offer)
    let answer = try desk.answer()
    #expect(answer.media.map(\.port) == [9, 0])
    #expect(!answer.attributes.contains { $0.name == "group" })
  }

  @Test func otherLinesAreRefusedInTheirPlace() throws {
    let desk = Desk()
    let channel =
      "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:9\r\na=sctp-port:5000\r\n"
    let offer = try Captured.chromiumAudio.description {
      $0 = $0.replacing("m=audio", with: channel + "m=audio").replacing(
        "a=group:BUNDLE 0", with: "a=group:BUNDLE 9 0")
    }
    // The bundle's first line carries no credentials here: what the session and the line lack is lacking.
    #expect(throws: PeerRefusal.noCredentials) { try desk.connection.setRemote(offer: offer) }
    let whole = try Captured.chromiumAudio.description {
      let transport = $0.split(separator: "\r\n").filter {
        $0.hasPrefix("a=ice-") || $0.hasPrefix("a=fingerprint") || $0.hasPrefix("a=setup")
      }
      .joined(separator: "\r\n")
      $0 = $0.replacing("m=audio", with: channel + transport + "\r\nm=audio").replacing(
        "a=group:BUNDLE 0", with: "a=group:BUNDLE 9 0")
    }
    try desk.connection.setRemote(offer: whole)
    let answer = try desk.answer()
    #expect(answer.media.map(\.port) == [0, 9])
    #expect(answer.media[0].proto == "UDP/DTLS/SCTP")
    #expect(answer.attributes.contains(Attribute("group", "BUNDLE 0")))
    #expect(answer.media[1].attributes.contains { $0.name == "candidate" })
  }

  @Test func ourOfferKeepsItsLinesAndTakesTheSameAnswerTwice() throws {
    let desk = Desk()
    let offer = desk.connection.createOffer(
      audio: Wanted.audio, video: Wanted.picture, &desk.turn)
    let text = String(decoding: offer.bytes, as: UTF8.self)
    #expect(text.contains("a=group:BUNDLE 0 1\r\n"))
    #expect(text.contains("a=setup:actpass\r\n"))
    #expect(offer.media[1].attributes.contains { $0.name == "sendonly" })
    let peer = PeerTown(seed: 3).browser
    var turn = Turn(now: Instant(nanoseconds: 0), random: Random(seed: 1))
    try peer.setRemote(offer: offer)
    let answer = try peer.createAnswer(audio: peer.offered(.audio), video: nil, &turn)
    try desk.connection.setRemote(answer: answer, &desk.turn)
    try desk.connection.setRemote(answer: answer, &desk.turn)
    #expect(desk.connection.settled(.audio)?.formats.map(\.payloadType) == [8, 0, 101])
    #expect(desk.connection.settled(.video) == nil)
    // On hold, without the picture: its line stays, withdrawn.
    var held = Wanted.audio
    held.direction = .sendonly
    let second = desk.connection.createOffer(audio: held, video: nil, &desk.turn)
    #expect(second.media.map(\.port) == [9, 0])
    #expect(second.origin.version == "2")
    #expect(desk.connection.settled(.audio)?.direction == .sendrecv)
    desk.connection.withdraw()
    let third = desk.connection.createOffer(audio: held, video: Wanted.picture, &desk.turn)
    #expect(third.media.map(\.port) == [9, 9])
    try peer.setRemote(offer: third)
    let other = try peer.createAnswer(audio: peer.offered(.audio), video: nil, &turn)
    try desk.connection.setRemote(answer: other, &desk.turn)
    #expect(desk.connection.settled(.audio)?.direction == .sendonly)
  }

  @Test func answersThatDoNotFitAreRefused() throws {
    let desk = Desk()
    let offer = desk.connection.createOffer(audio: Wanted.audio, video: nil, &desk.turn)
    var turn = Turn(now: Instant(nanoseconds: 0), random: Random(seed: 1))
    let peer = PeerTown(seed: 3).browser
    try peer.setRemote(offer: offer)
    let answer = try peer.createAnswer(audio: peer.offered(.audio), video: nil, &turn)
    func refusal(_ edit: (inout SessionDescription) -> Void) -> PeerRefusal? {
      var wrong = answer
      edit(&wrong)
      do throws(PeerRefusal) {
        try desk.connection.setRemote(answer: wrong, &desk.turn)
        return nil
      } catch {
        return error
      }
    }
    #expect(refusal { $0.media.removeAll() } == .unexpected)
    #expect(refusal { $0.media.append($0.media[0]) } == .unexpected)
    #expect(refusal { $0.media[0].kind = .video } == .unexpected)
    #expect(refusal { $0.media[0].port = 0 } == .notWebRTC)
    #expect(refusal { $0.media[0].formats = ["96"] } == .noSharedCodec)
    #expect(refusal { $0.media[0].attributes.removeAll { $0.name == "fingerprint" } } == .noFingerprint)
    #expect(desk.connection.settled(.audio) == nil)
    #expect(refusal { _ in } == nil)
    #expect(desk.connection.settled(.audio) != nil)
    #expect(throws: PeerRefusal.unexpected) {
      try Desk().connection.setRemote(answer: answer, &turn)
    }
  }

  @Test func profilesOfH264AreMatched() throws {
    let desk = Desk()
    try desk.connection.setRemote(offer: try Captured.chromiumPage.description())
    let offered = try #require(desk.connection.offered(.video)).formats
    func chosen(_ parameters: String?) -> UInt8? {
      H264Profile.choose(of: offered, for: parameters)?.payloadType
    }
    #expect(chosen(nil) == 108)
    #expect(chosen("profile-level-id=42e01f;packetization-mode=1") == 108)
    #expect(chosen("profile-level-id=42801F") == 102)
    #expect(chosen("profile-level-id=42c01f") == 108)
    #expect(chosen("packetization-mode=1; profile-level-id=4D0029") == 116)
    // High is not offered: what browsers decode anyway.
    #expect(chosen("profile-level-id=640028") == 108)
    #expect(chosen("profile-level-id=nonsense") == 102)
    #expect(H264Profile.choose(of: [.pcma], for: nil) == nil)
    // A WebKit browser's profiles, told by its users: constrained high and constrained baseline.
    let webKit = [("96", "640c1f"), ("98", "42e01f")].map { number, profile in
      Format(
        payloadType: UInt8(number)!, encoding: "H264", clockRate: 90_000,
        parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + profile)
    }
    #expect(H264Profile.choose(of: webKit, for: "profile-level-id=640c28")?.payloadType == 96)
    #expect(H264Profile.choose(of: webKit, for: "profile-level-id=640028")?.payloadType == 96)
    #expect(H264Profile.choose(of: webKit, for: "profile-level-id=42e01e")?.payloadType == 98)
  }
}
