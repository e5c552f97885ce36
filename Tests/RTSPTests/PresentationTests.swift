import RTSP
import Testing
import Wire

@Suite struct PresentationTests {
  private func read(_ text: String, base: String = "rtsp://h/live") throws(PresentationFault)
    -> RTSPPresentation
  {
    try RTSPPresentation(parsing: Array(text.utf8), base: base)
  }

  @Test func whatNoOneElseWouldAcceptIsRead() throws {
    // No origin, an address line without words, LF alone, a blank in front, zeros behind.
    let presentation = try read(
      "v=0\ns=\nc=IN\n m=video 0 RTP/AVP 35\na=rtpmap:35  h264/90000\na=fmtp:35 x\na=control:rtsp://other/1\n\0\0"
    )
    #expect(presentation.tracks.count == 1)
    #expect(presentation.tracks[0].payloadType == 35)
    #expect(presentation.tracks[0].coding == .h264(parameterSets: []))
    #expect(presentation.tracks[0].control == "rtsp://other/1")
    #expect(presentation.control == "rtsp://h/live")
  }

  @Test func otherCodingsAreNamed() {
    #expect(throws: PresentationFault.coding("H265")) {
      try read("v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\n")
    }
    #expect(throws: PresentationFault.coding("JPEG")) { try read("v=0\nm=video 0 RTP/AVP 26\n") }
    #expect(throws: PresentationFault.noVideo) { try read("v=0\nm=audio 0 RTP/AVP 0\n") }
    #expect(throws: PresentationFault.noVideo) { try read("") }
    #expect(throws: PresentationFault.malformed) { try read("v=0\nm=video\n") }
    #expect(throws: PresentationFault.malformed) {
      try read(String(repeating: "a=x:yyyyyyyy\n", count: 4000))
    }
  }

  @Test func theSecondStreamOfPicturesWillDo() throws {
    let presentation = try read(
      "v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\na=control:1\n"
        + "m=video 0 RTP/AVP 97\na=rtpmap:97 H264/90000\na=control:2\n")
    #expect(presentation.tracks.map(\.control) == ["rtsp://h/live/2"])
  }

  @Test func theLoudspeakerOfACameraIsNotItsMicrophone() throws {
    let presentation = try read(
      "v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 0\na=sendonly\na=control:back\n"
        + "m=audio 0 RTP/AVP 97\na=rtpmap:97 G726-16/8000\nm=audio 0 RTP/AVP 8\na=recvonly\na=control:mic\n")
    #expect(presentation.tracks.map(\.coding) == [.h264(parameterSets: []), .pcma])
    #expect(presentation.tracks[1].control == "rtsp://h/live/mic")
    #expect(presentation.unusedSound == [])
  }

  @Test func soundThatWeCannotUseIsNamed() throws {
    let presentation = try read(
      "v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 97\na=rtpmap:97 G726-16/8000\n")
    #expect(presentation.tracks.count == 1)
    #expect(presentation.unusedSound == ["G726-16"])
  }

  @Test func theFiguresOfAACAreRead() throws {
    let presentation = try read(
      "v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 97\n"
        + "a=rtpmap:97 MPEG4-GENERIC/16000/1\na=fmtp:97 streamtype=5;profile-level-id=15;mode=AAC-hbr;config=1408;"
        + "sizeLength=13;indexLength=3;indexDeltaLength=3\n")
    #expect(
      presentation.tracks.last?.coding
        == .aac(AACFormat(configuration: [0x14, 0x08], clockRate: 16_000, channels: 1)))
  }

  @Test func controlsStandBehindTheirBase() {
    #expect(RTSPAddress.control("track1", under: "rtsp://h/live") == "rtsp://h/live/track1")
    #expect(RTSPAddress.control("track1", under: "rtsp://h/live/") == "rtsp://h/live/track1")
    #expect(RTSPAddress.control("/track1", under: "rtsp://h/live/") == "rtsp://h/live/track1")
    #expect(
      RTSPAddress.control("trackID=0", under: "rtsp://h/cam?channel=1&subtype=0")
        == "rtsp://h/cam?channel=1&subtype=0/trackID=0")
    #expect(RTSPAddress.control("*", under: "rtsp://h/live") == "rtsp://h/live")
    #expect(RTSPAddress.control(nil, under: "rtsp://h/live") == "rtsp://h/live")
    #expect(RTSPAddress.control("RTSP://x/1", under: "rtsp://h/live") == "RTSP://x/1")
    #expect(RTSPAddress.control("a b\u{7F}", under: "rtsp://h/live") == "rtsp://h/live")
  }

  @Test func addressesAreRead() {
    let plain = RTSPAddress("rtsp://user:pa@ss@Camera.Local/a/b?c=d")
    #expect(plain == RTSPAddress(host: "camera.local", path: "/a/b?c=d"))
    #expect(plain?.text == "rtsp://camera.local/a/b?c=d")
    #expect(
      RTSPAddress("rtsps://192.0.2.1") == RTSPAddress(isSecure: true, host: "192.0.2.1", port: 322, path: ""))
    #expect(RTSPAddress("RTSP://[2001:db8::1]:8554/x")?.text == "rtsp://[2001:db8::1]:8554/x")
    #expect(RTSPAddress("rtsp://h?x")?.path == "?x")
    #expect(RTSPAddress("rtsp://h:/x")?.port == 554)
    for wrong in [
      "", "rtsp://", "http://h/", "rtsp://h:0/", "rtsp://h:99999/", "rtsp://[::1", "rtsp://[1.2.3.4]/",
      "rtsp://h /", "rtsp://h\r\nX: y/",
    ] {
      #expect(RTSPAddress(wrong) == nil, "\(wrong)")
    }
  }
}
