import SDP
import Testing
import Wire

private let transcoding: [Format] = [.pcma, .pcmu, .g722]
private let here = IPAddress("192.0.2.1")!

@Suite struct OfferAnswerTests {
  @Test func aPlainOfferIsWrittenExactly() {
    let video = Format(
      payloadType: 96, encoding: "H264", clockRate: 90_000,
      parameters: "profile-level-id=42801F;packetization-mode=1")
    let offer = SessionDescription(
      origin: Origin(id: 7, version: 1, address: here), address: here,
      lines: [
        .stream(
          LocalStream(
            kind: .audio, port: 40000, rtcpPort: 40001, formats: [.pcma, .pcmu, .telephoneEvent(101)],
            ptime: 20)),
        .stream(
          LocalStream(kind: .video, port: 40002, rtcpPort: 40007, formats: [video], direction: .sendonly)),
      ])
    #expect(
      String(decoding: offer.bytes, as: UTF8.self) == """
        v=0\r
        o=- 7 1 IN IP4 192.0.2.1\r
        s=-\r
        c=IN IP4 192.0.2.1\r
        t=0 0\r
        m=audio 40000 RTP/AVP 8 0 101\r
        a=rtpmap:8 PCMA/8000\r
        a=rtpmap:0 PCMU/8000\r
        a=rtpmap:101 telephone-event/8000\r
        a=fmtp:101 0-16\r
        a=ptime:20\r
        a=sendrecv\r
        m=video 40002 RTP/AVP 96\r
        a=rtpmap:96 H264/90000\r
        a=fmtp:96 profile-level-id=42801F;packetization-mode=1\r
        a=rtcp:40007\r
        a=sendonly\r

        """)
  }

  @Test func anAnswerKeepsTheOffersLinesAndRefusesWithPortZero() throws {
    let offer = try read(
      Written.akuvox + "m=application 9 TCP/WSS x\r\nm=video 12002 RTP/SAVPF 99\r\na=rtpmap:99 H264/90000\r\n"
    )
    let answer = SessionDescription(
      origin: Origin(id: 7, version: 1, address: here), address: here,
      lines: [
        .stream(LocalStream(kind: .audio, port: 40000, rtcpPort: 40001, formats: [.pcma])),
        .rejecting(offer.media[1]), .rejecting(offer.media[2]),
      ])
    #expect(answer.media.map(\.port) == [40000, 0, 0])
    #expect(answer.media.map(\.proto) == ["RTP/AVP", "TCP/WSS", "RTP/SAVPF"])
    #expect(answer.media[2].formats == ["99"])
    #expect(offer.firstPlain(.video) == nil)
  }

  @Test func theFarLegIsOfferedWhatTheNearSpeaksFirst() throws {
    let near = try read(Written.hikvision).media[0].rtpFormats
    let far = Format.relayed(near, transcoding: transcoding, adding: transcoding)
    #expect(far.map(\.audioCodec) == [.pcmu, .pcma, .g722, .telephoneEvent])
    #expect(far.last?.payloadType == 101)
  }

  @Test func anEncodingNobodyTranscodesIsOfferedAlone() {
    let g729 = Format.assigned(18)!
    #expect(
      Format.relayed([g729], transcoding: transcoding, adding: transcoding).map(\.payloadType) == [18, 101])
    #expect(Format.accepted(of: [.pcma], preferring: g729, transcoding: transcoding).isEmpty)
  }

  @Test func keysNeverTakeANumberThatSoundHas() {
    let opus = Format(payloadType: 101, encoding: "opus", clockRate: 48_000, channels: 2)
    let far = Format.relayed([.pcma, opus], transcoding: transcoding, adding: transcoding)
    #expect(far.last == .telephoneEvent(102))
  }

  @Test func whatIsAddedIsTheCallersChoice() {
    let far = Format.relayed([.g722], transcoding: transcoding, adding: [.pcma, .pcmu])
    #expect(far.map(\.payloadType) == [9, 8, 0, 101])
    let near = Format.relayed([.pcma], transcoding: transcoding, adding: [.pcma, .pcmu])
    #expect(near.map(\.payloadType) == [8, 0, 101])
  }

  @Test func nothingOfferedYetMeansEverythingWeKnow() {
    #expect(
      Format.relayed([], transcoding: transcoding, adding: transcoding).map(\.payloadType) == [8, 0, 9, 101])
  }

  @Test func theSharedEncodingIsPreferredAndOthersAreTranscoded() throws {
    let offered = try read(Written.akuvox).media[0].rtpFormats
    #expect(
      Format.accepted(of: offered, preferring: .pcmu, transcoding: transcoding).map(\.payloadType)
        == [0, 101])
    #expect(
      Format.accepted(of: offered, preferring: .g722, transcoding: transcoding).map(\.payloadType)
        == [8, 101])
  }

  @Test func anExtraVideoLineInAnAnswerIsNobodys() throws {
    let ours = SessionDescription(
      origin: Origin(id: 7, version: 1, address: here), address: here,
      lines: [
        .stream(
          LocalStream(kind: .audio, port: 40000, rtcpPort: 40001, formats: [.pcma, .telephoneEvent(101)]))
      ])
    let answer = try read(Written.dahua)
    let audio = try #require(answer.settled(at: 0, with: ours))
    #expect(audio.rtp == Endpoint("192.0.2.40:20000"))
    #expect(audio.rtcp == Endpoint("192.0.2.40:20001"))
    #expect(audio.media?.audioCodec == .pcma)
    #expect(audio.telephoneEvent == 101)
    #expect(audio.direction == .sendrecv)
    #expect(answer.settled(at: 1, with: ours) == nil)
  }

  @Test func directionsMeet() throws {
    let ours = SessionDescription(
      origin: Origin(id: 7, version: 1, address: here), address: here,
      lines: [.stream(LocalStream(kind: .audio, port: 40000, rtcpPort: 40001, formats: [.pcma]))])
    func settled(_ direction: String) throws -> Direction? {
      try read(Written.akuvox.replacing("sendrecv", with: direction)).settled(at: 0, with: ours)?.direction
    }
    #expect(try settled("sendonly") == .recvonly)
    #expect(try settled("recvonly") == .sendonly)
    #expect(try settled("inactive") == .inactive)
  }

  @Test func aZeroAddressIsNeverSentTo() throws {
    let ours = SessionDescription(
      origin: Origin(id: 7, version: 1, address: here), address: here,
      lines: [.stream(LocalStream(kind: .audio, port: 40000, rtcpPort: 40001, formats: [.pcma]))])
    let held = try read(Written.akuvox.replacing("c=IN IP4 192.0.2.20", with: "c=IN IP4 0.0.0.0"))
    let audio = try #require(held.settled(at: 0, with: ours))
    #expect(audio.rtp == nil)
    #expect(audio.direction == .recvonly)
  }

  @Test func aPeersOwnNumberIsUsedTowardsIt() throws {
    let video = Format(
      payloadType: 96, encoding: "H264", clockRate: 90_000,
      parameters: "profile-level-id=42801F;packetization-mode=1")
    let ours = SessionDescription(
      origin: Origin(id: 7, version: 1, address: here), address: here,
      lines: [.stream(LocalStream(kind: .video, port: 40002, rtcpPort: 40003, formats: [video]))])
    let answer = try read(
      "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\nc=IN IP4 192.0.2.9\r\nm=video 5004 RTP/AVP 103\r\n"
        + "a=rtpmap:103 H264/90000\r\na=fmtp:103 packetization-mode=1\r\n")
    #expect(answer.settled(at: 0, with: ours)?.media?.payloadType == 103)
  }

  @Test func rejectedLinesSettleNothing() throws {
    let ours = SessionDescription(
      origin: Origin(id: 7, version: 1, address: here), address: here,
      lines: [.stream(LocalStream(kind: .audio, port: 40000, rtcpPort: 40001, formats: [.pcma]))])
    #expect(
      try read(Written.akuvox.replacing("audio 12000", with: "audio 0")).settled(at: 0, with: ours) == nil)
    #expect(
      try read(Written.akuvox.replacing("RTP/AVP 8 0 101", with: "RTP/AVP 0")).settled(at: 0, with: ours)
        == nil)
  }
}
