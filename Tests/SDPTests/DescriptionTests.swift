import SDP
import Testing
import Wire

/// What stations and panels really write.
enum Written {
  static let akuvox = """
    v=0\r
    o=100 0 0 IN IP4 192.0.2.20\r
    s=A conversation\r
    c=IN IP4 192.0.2.20\r
    t=0 0\r
    m=audio 12000 RTP/AVP 8 0 101\r
    a=rtpmap:8 PCMA/8000\r
    a=rtpmap:0 PCMU/8000\r
    a=rtpmap:101 telephone-event/8000\r
    a=fmtp:101 0-15\r
    a=ptime:20\r
    a=sendrecv\r

    """
  static let hikvision = """
    v=0
    o=- 1700000000 1700000000 IN IP4 192.0.2.30
    s=Hik
    c=IN IP4 192.0.2.30
    t=0 0
    m=audio 9654 RTP/AVP 0 8
    a=rtpmap:0 PCMU/8000
    a=sendrecv
    m=video 9856 RTP/AVP 96
    a=rtpmap:96 H264/90000
    a=fmtp:96 profile-level-id=42801F;packetization-mode=1
    a=recvonly
    """
  /// An answer with a video line that the offer did not have, and without `fmtp`.
  static let dahua = """
    v=0\r
    o=- 3 4 IN IP4 192.0.2.40\r
    s=Dahua VTH\r
    c=IN IP4 192.0.2.40\r
    t=0 0\r
    m=audio 20000 RTP/AVP 8 101\r
    a=rtpmap:8 PCMA/8000\r
    a=rtpmap:101 telephone-event/8000\r
    m=video 20002 RTP/AVP 105\r
    a=rtpmap:105 H264/90000\r
    """
}

func read(_ text: String) throws -> SessionDescription { try SessionDescription(parsing: Array(text.utf8)) }

@Suite struct DescriptionTests {
  @Test func anAkuvoxDescriptionIsReadAndWrittenByteForByte() throws {
    let description = try read(Written.akuvox)
    #expect(description.origin.user == "100")
    #expect(description.name == "A conversation")
    let audio = try #require(description.media.first)
    #expect(audio.kind == .audio)
    #expect(audio.port == 12000)
    #expect(audio.rtpFormats.map(\.payloadType) == [8, 0, 101])
    #expect(audio.rtpFormats.map(\.audioCodec) == [.pcma, .pcmu, .telephoneEvent])
    #expect(audio.rtpFormats[2].parameters == "0-15")
    #expect(audio.ptime == 20)
    #expect(description.direction(of: audio) == .sendrecv)
    #expect(!description.isHold)
    #expect(String(decoding: description.bytes, as: UTF8.self) == Written.akuvox)
  }

  @Test func aHikvisionDescriptionWithBareLineFeedsKeepsItsVideoParameters() throws {
    let description = try read(Written.hikvision)
    #expect(description.media.count == 2)
    let video = description.media[1]
    let format = try #require(video.rtpFormats.first)
    #expect(format.isH264)
    #expect(format.packetizationMode == 1)
    #expect(format.parameter("PROFILE-level-id") == "42801F")
    #expect(description.direction(of: video) == .recvonly)
    #expect(description.firstPlain(.video) == 1)
  }

  @Test func aVideoLineWithoutFmtpMeansModeZero() throws {
    let video = try read(Written.dahua).media[1]
    #expect(video.rtpFormats.first?.packetizationMode == 0)
    #expect(video.rtpFormats.first?.parameters == nil)
  }

  @Test func unknownLinesAndAttributesStayInOrder() throws {
    let text = """
      v=0\r
      o=a b c 2 3 IN IP6 2001:db8::1\r
      s=-\r
      i=hall\r
      e=x@example.net\r
      c=IN IP6 2001:db8::1\r
      b=AS:512\r
      b=TIAS:500000\r
      t=0 0\r
      r=7d 1h 0 25h\r
      a=tool:thing\r
      a=x-first:  two blanks\r
      a=recvonly\r
      a=x-second\r
      m=audio 5004/2 RTP/AVP 9 96\r
      i=title\r
      c=IN IP6 2001:db8::2\r
      b=AS:64\r
      a=x-odd:1:2:3\r
      a=rtpmap:96 opus/48000/2\r
      a=x-odd:0\r

      """
    let description = try read(text)
    #expect(String(decoding: description.bytes, as: UTF8.self) == text)
    #expect(description.origin.user == "a b c")
    #expect(description.address(of: description.media[0]) == IPAddress("2001:db8::2"))
    #expect(description.media[0].portCount == 2)
    #expect(description.direction(of: description.media[0]) == .recvonly)
    #expect(description.media[0].rtpFormats.map(\.audioCodec) == [.g722, .opus])
  }

  @Test func oldHoldByAZeroAddressIsHold() throws {
    let held = try read(Written.akuvox.replacing("c=IN IP4 192.0.2.20", with: "c=IN IP4 0.0.0.0"))
    #expect(held.isHold)
    #expect(held.direction(of: held.media[0]) == .sendonly)
  }

  @Test(arguments: [("sendonly", true), ("inactive", true), ("recvonly", false), ("sendrecv", false)])
  func holdIsNotReceiving(direction: String, held: Bool) throws {
    let text = Written.akuvox.replacing("a=sendrecv", with: "a=\(direction)")
    #expect(try read(text).isHold == held)
  }

  @Test func rtcpPortAndMuxAreSeen() throws {
    let text = Written.akuvox.replacing("a=ptime:20", with: "a=rtcp:12011 IN IP4 192.0.2.99\r\na=rtcp-mux")
    let audio = try read(text).media[0]
    #expect(audio.rtcp?.port == 12011)
    #expect(audio.rtcp?.address == IPAddress("192.0.2.99"))
    #expect(audio.muxesRTCP)
  }

  @Test func trailingJunkOfDevicesIsTolerated() throws {
    let description = try SessionDescription(parsing: Array(Written.akuvox.utf8) + [13, 10, 0, 0])
    #expect(description.media.count == 1)
    let bare = try read("v=0\no=- 1 1 IN IP4 192.0.2.1\nm=audio 0 RTP/AVP")
    #expect(bare.media[0].isRejected)
    #expect(String(decoding: bare.bytes, as: UTF8.self).hasSuffix("s=-\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n"))
  }

  @Test(arguments: [
    ("", SDPError.notVersionZero),
    ("v=1\r\n", .notVersionZero),
    ("o=- 1 1 IN IP4 192.0.2.1\r\n", .notVersionZero),
    ("v=0\r\ns=-\r\n", .missingOrigin),
    ("v=0\r\no=- 1 IN IP4 192.0.2.1\r\n", .malformedOrigin(line: 2)),
    ("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=IN IP5 1\r\n", .malformedConnection(line: 3)),
    ("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 70000 RTP/AVP 0\r\n", .malformedMedia(line: 3)),
    ("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 4/0 RTP/AVP 0\r\n", .malformedMedia(line: 3)),
    ("v=0\r\nnonsense\r\n", .malformedLine(line: 2)),
    ("v=0\r\n=x\r\n", .malformedLine(line: 2)),
  ])
  func whatIsWrongIsSaidWithItsLine(text: String, error: SDPError) {
    #expect(throws: error) { try read(text) }
  }

  @Test func everyLimitHolds() {
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"
    #expect(throws: SDPError.tooLong) { try read(head + String(repeating: "a=b\r\n", count: 7000)) }
    #expect(throws: SDPError.tooManyLines) { try read(head + String(repeating: "a=b\r\n", count: 511)) }
    #expect(throws: SDPError.lineTooLong(line: 3)) {
      try read(head + "a=" + String(repeating: "b", count: 4095))
    }
    #expect(throws: SDPError.tooManyMedia) {
      try read(head + String(repeating: "m=audio 9 RTP/AVP 0\r\n", count: 17))
    }
    #expect(throws: SDPError.tooManyFormats(line: 3)) {
      try read(head + "m=audio 9 RTP/AVP" + String(repeating: " 0", count: 65))
    }
  }

  @Test func noSingleChangedByteEverTraps() {
    let bytes = Array(Written.hikvision.utf8)
    for index in bytes.indices {
      for value: UInt8 in [0, 10, 13, 32, 47, 58, 61, 255] {
        var changed = bytes
        changed[index] = value
        if let description = try? SessionDescription(parsing: changed) {
          // What we wrote, we read and write again to the letter.
          #expect((try? SessionDescription(parsing: description.bytes))?.bytes == description.bytes)
        }
        _ = try? SessionDescription(parsing: Array(bytes[..<index]))
      }
    }
  }
}
