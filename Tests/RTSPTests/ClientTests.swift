import RTSP
import Testing
import Wire

@Suite struct ClientTests {
  @Test func aStreamIsDescribedSetUpAndPlayed() {
    var dialogue = Dialogue()
    #expect(
      dialogue.said()
        == "DESCRIBE rtsp://192.0.2.10/live RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: Vestibule\r\n"
        + "Accept: application/sdp\r\n\r\n")
    dialogue.hear(Dialogue.described(1))
    #expect(
      dialogue.said()
        == "SETUP rtsp://192.0.2.10/live/track1 RTSP/1.0\r\nCSeq: 2\r\nUser-Agent: Vestibule\r\n"
        + "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n")
    dialogue.hear(
      "RTSP/1.0 200 OK\nCSeq: 2\nSession: 7A3F ; timeout=30\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\n\n"
    )
    #expect(
      dialogue.said()
        == "SETUP rtsp://192.0.2.10/live/track2 RTSP/1.0\r\nCSeq: 3\r\nUser-Agent: Vestibule\r\n"
        + "Session: 7A3F\r\nTransport: RTP/AVP/TCP;unicast;interleaved=2-3\r\n\r\n")
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 3\nSession: 7A3F\nTransport: RTP/AVP/TCP;interleaved=2-3\n\n")
    #expect(
      dialogue.said()
        == "PLAY rtsp://192.0.2.10/live RTSP/1.0\r\nCSeq: 4\r\nUser-Agent: Vestibule\r\nSession: 7A3F\r\n"
        + "Range: npt=0.000-\r\n\r\n")
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 4\nSession: 7A3F\n\n")
    #expect(dialogue.client.isPlaying)
    #expect(dialogue.client.sessionTimeout == .seconds(30))
    let presentation = dialogue.client.presentation
    #expect(
      presentation?.tracks.first?.coding
        == .h264(parameterSets: [
          [0x67, 0x42, 0xE0, 0x1F, 0xDA, 0x01, 0x40, 0x16, 0xEC, 0x44], [0x68, 0xCE, 0x3C, 0x80],
        ]))
    #expect(presentation?.tracks.last?.coding == .pcma)
    #expect(
      dialogue.happened() == [
        .described(presentation!), .ready(track: 0, .interleaved), .ready(track: 1, .interleaved), .playing,
      ])
    dialogue.client.leave(now: dialogue.now)
    #expect(dialogue.said().hasPrefix("TEARDOWN rtsp://192.0.2.10/live RTSP/1.0\r\nCSeq: 5\r\n"))
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 5\n\n")
    #expect(dialogue.ending == .left)
  }

  @Test func packetsComeBetweenTheMessagesOfOneConnection() {
    var dialogue = Dialogue.playing()
    _ = dialogue.happened()
    let media: [UInt8] = [0x80, 0x60, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 0x65]
    let report: [UInt8] = [0x80, 200, 0, 1, 1, 2, 3, 4]
    let bytes = [36, 0, 0, 13] + media + [13, 10] + [36, 1, 0, 8] + report + [36, 2, 0, 13] + media
    // Whole, and byte by byte: the same is told.
    var whole = dialogue
    whole.hear(bytes)
    #expect(whole.events.count == 3)
    if case .packet(0, let range)? = whole.events.first {
      #expect(Array(whole.client.input[range]) == media)
    } else {
      Issue.record("no packet")
    }
    if case .control(0, let range) = whole.events[1] {
      #expect(Array(whole.client.input[range]) == report)
    } else {
      Issue.record("no report")
    }
    if case .packet(1, _) = whole.events[2] {} else { Issue.record("no sound") }
    for byte in bytes { dialogue.hear([byte]) }
    #expect(dialogue.events.count == 3)
    // Our own reports go the other way.
    dialogue.client.send(control: [0x80, 201, 0, 0], track: 1)
    #expect(dialogue.client.takeOutput() == [36, 3, 0, 4, 0x80, 201, 0, 0])
  }

  @Test func anAkuvoxThatAnswersTCPWithDatagramsIsLeftForTheOtherTransport() {
    var dialogue = Dialogue()
    dialogue.hear(Dialogue.described(1))
    _ = dialogue.said()
    dialogue.hear(
      "RTSP/1.0 200 OK\nServer: Streaming Server v0.1\nCSeq: 2\nSession: 889966\n"
        + "Transport: RTP/AVP;unicast;mode=play;client_port=;server_port=51242-51243\n\n")
    #expect(
      dialogue.said()
        == "TEARDOWN rtsp://192.0.2.10/live RTSP/1.0\r\nCSeq: 3\r\nUser-Agent: Vestibule\r\nSession: 889966\r\n\r\n"
    )
    #expect(dialogue.ending == nil)
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 3\n\n")
    #expect(dialogue.ending == .otherTransport)
  }

  @Test func aFarewellThatNobodyAnswersIsWaitedForOnlyShortly() {
    var dialogue = Dialogue()
    dialogue.hear(Dialogue.described(1))
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 2\nSession: 1\nTransport: RTP/AVP;unicast;client_port=\n\n")
    #expect(dialogue.client.nextDeadline == dialogue.now + .milliseconds(400))
    dialogue.pass(.milliseconds(400))
    #expect(dialogue.ending == .otherTransport)
  }

  @Test func datagramsAreSetUpWithTheOwnersPorts() {
    var dialogue = Dialogue(transport: .datagrams)
    dialogue.hear(Dialogue.described(1))
    #expect(dialogue.happened().last == .portsWanted(track: 0))
    _ = dialogue.said()
    dialogue.client.offer(port: 40_000, for: 0, now: dialogue.now)
    #expect(dialogue.said().contains("\r\nTransport: RTP/AVP;unicast;client_port=40000-40001\r\n"))
    dialogue.hear(
      "RTSP/1.0 200 OK\nCSeq: 2\nSession: 1\n"
        + "Transport: RTP/AVP;unicast;mode=play;client_port=;server_port=51242-51243\n\n")
    #expect(
      dialogue.happened() == [
        .ready(track: 0, .datagrams(media: 51_242, control: 51_243, source: nil)), .portsWanted(track: 1),
      ])
    dialogue.client.offer(port: 40_002, for: 1, now: dialogue.now)
    _ = dialogue.said()
    // No port, one port, an address.
    dialogue.hear(
      "RTSP/1.0 200 OK\nCSeq: 3\nSession: 1\n"
        + "Transport: RTP/AVP/UDP;unicast;client_port=40002-40003;source=192.0.2.11;server_port=0\n\n")
    #expect(
      dialogue.happened() == [
        .ready(track: 1, .datagrams(media: nil, control: nil, source: IPAddress("192.0.2.11")))
      ]
    )
    #expect(dialogue.said().hasPrefix("PLAY "))
  }

  @Test func aCameraThatAnswersDatagramsWithTCPIsTakenAtItsWord() {
    var dialogue = Dialogue(transport: .datagrams)
    dialogue.hear(Dialogue.described(1))
    dialogue.client.offer(port: 40_000, for: 0, now: dialogue.now)
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 2\nSession: 1\nTransport: RTP/AVP;unicast;interleaved=4-5\n\n")
    #expect(dialogue.happened().contains(.ready(track: 0, .interleaved)))
    dialogue.hear([36, 4, 0, 12, 0x80, 0x60, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4])
    if case .packet(0, _)? = dialogue.events.last {} else { Issue.record("no packet") }
  }

  @Test func transportNotSupportedMeansTheOther() {
    var dialogue = Dialogue()
    dialogue.hear(Dialogue.described(1))
    dialogue.hear("RTSP/1.0 461 Unsupported Transport\nCSeq: 2\n\n")
    // On the same connection, for there is no session yet that could be confused.
    #expect(dialogue.events.last == .portsWanted(track: 0))
    #expect(dialogue.client.transport == .datagrams)
    _ = dialogue.said()
    dialogue.client.offer(port: 40_000, for: 0, now: dialogue.now)
    #expect(dialogue.said().hasPrefix("SETUP "))
    dialogue.hear("RTSP/1.0 461 Unsupported Transport\nCSeq: 3\n\n")
    #expect(dialogue.ending == .otherTransport)
  }

  @Test func aMissingTransportFieldMeansWhatWasAsked() {
    var dialogue = Dialogue()
    dialogue.hear(Dialogue.described(1))
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 2\nSession: 1\n\n")
    #expect(dialogue.events.last == .ready(track: 0, .interleaved))
  }

  @Test func soundThatCannotBeSetUpIsLeftOut() {
    var dialogue = Dialogue()
    dialogue.hear(Dialogue.described(1))
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 2\nSession: 1\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\n\n")
    _ = dialogue.said()
    dialogue.hear("RTSP/1.0 500 Internal Server Error\nCSeq: 3\n\n")
    #expect(dialogue.said().hasPrefix("PLAY "))
    #expect(dialogue.client.carriages == [.interleaved, nil])
  }

  @Test func streamsOfOneChannelAreToldApartByTheirPayload() {
    var dialogue = Dialogue()
    dialogue.hear(Dialogue.described(1))
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 2\nSession: 1\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\n\n")
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 3\nSession: 1\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\n\n")
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 4\nSession: 1\n\n")
    _ = dialogue.happened()
    dialogue.hear([36, 0, 0, 12, 0x80, 8, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4])
    if case .packet(1, _)? = dialogue.events.last {} else { Issue.record("not the sound") }
    dialogue.hear([36, 0, 0, 12, 0x80, 0x60, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4])
    if case .packet(0, _)? = dialogue.events.last {} else { Issue.record("not the picture") }
  }

  @Test func aRangeThatIsRefusedIsLeftOut() {
    var dialogue = Dialogue()
    dialogue.hear(Dialogue.described(1))
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 2\nSession: 1\n\n")
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 3\nSession: 1\n\n")
    _ = dialogue.said()
    dialogue.hear("RTSP/1.0 457 Invalid Range\nCSeq: 4\n\n")
    #expect(
      dialogue.said()
        == "PLAY rtsp://192.0.2.10/live RTSP/1.0\r\nCSeq: 5\r\nUser-Agent: Vestibule\r\nSession: 1\r\n\r\n")
  }

  @Test func whatIsElsewhereIsSaidToBeElsewhere() {
    var dialogue = Dialogue()
    dialogue.hear("RTSP/1.0 302 Moved\nCSeq: 1\nLocation: rtsp://user:secret@192.0.2.20:8554/other\n\n")
    #expect(dialogue.ending == .moved(RTSPAddress(host: "192.0.2.20", port: 8554, path: "/other")))
    var lost = Dialogue()
    lost.hear("RTSP/1.0 302 Moved\nCSeq: 1\nLocation: http://192.0.2.20/\n\n")
    #expect(lost.ending == .refused(status: 302, reason: "Moved"))
  }

  @Test(arguments: [
    (404, RTSPEnding.missing), (453, .busy), (503, .busy), (403, .refused(status: 403, reason: "No")),
    (500, .refused(status: 500, reason: "No")),
  ])
  func aRefusalIsToldByItsKind(status: Int, ending: RTSPEnding) {
    var dialogue = Dialogue()
    dialogue.hear("RTSP/1.0 \(status) No\nCSeq: 1\n\n")
    #expect(dialogue.ending == ending)
  }

  @Test func aCameraThatWantsToBeGreetedIs() {
    var dialogue = Dialogue()
    _ = dialogue.said()
    dialogue.hear("RTSP/1.0 455 Method Not Valid in This State\nCSeq: 1\n\n")
    #expect(dialogue.said().hasPrefix("OPTIONS rtsp://192.0.2.10/live RTSP/1.0\r\nCSeq: 2\r\n"))
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 2\nPublic: OPTIONS, DESCRIBE\n\n")
    #expect(dialogue.said().hasPrefix("DESCRIBE "))
    dialogue.hear("RTSP/1.0 455 Method Not Valid in This State\nCSeq: 3\n\n")
    #expect(dialogue.ending == .refused(status: 455, reason: "Method Not Valid in This State"))
  }

  @Test func silenceIsAnEnd() {
    var dialogue = Dialogue()
    #expect(dialogue.client.nextDeadline == dialogue.now + .seconds(5))
    dialogue.pass(.seconds(5))
    #expect(dialogue.ending == .silent("DESCRIBE"))
  }

  @Test func signsOfLifeFollowTheSessionsTimeout() {
    var dialogue = Dialogue.playing(session: "1;timeout=20")
    #expect(dialogue.client.nextDeadline == dialogue.now + .seconds(10))
    dialogue.pass(.seconds(10))
    #expect(dialogue.said().hasPrefix("OPTIONS rtsp://192.0.2.10/live RTSP/1.0\r\nCSeq: 5\r\n"))
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 5\nPublic: DESCRIBE, SETUP,get_parameter , PLAY\n\n")
    dialogue.pass(.seconds(10))
    #expect(
      dialogue.said()
        == "GET_PARAMETER rtsp://192.0.2.10/live RTSP/1.0\r\nCSeq: 6\r\nUser-Agent: Vestibule\r\n"
        + "Session: 1\r\n\r\n")
    dialogue.hear("RTSP/1.0 501 Not Implemented\nCSeq: 6\n\n")
    dialogue.pass(.seconds(10))
    #expect(dialogue.said().hasPrefix("OPTIONS "))
    // Nobody answers, and nobody minds as long as pictures come.
    dialogue.pass(.seconds(5))
    #expect(dialogue.client.isPlaying)
    dialogue.pass(.seconds(5))
    #expect(dialogue.said().hasPrefix("OPTIONS "))
    dialogue.hear("RTSP/1.0 454 Session Not Found\nCSeq: 8\n\n")
    #expect(dialogue.ending == .expired)
  }

  @Test func aSessionWithoutATimeoutHasTheUsualOne() {
    let dialogue = Dialogue.playing(session: "1")
    #expect(dialogue.client.sessionTimeout == .seconds(60))
    #expect(dialogue.client.nextDeadline == dialogue.now + .seconds(25))
    let hasty = Dialogue.playing(session: "1;timeout=1")
    #expect(hasty.client.nextDeadline == hasty.now + .seconds(2))
  }

  @Test func theCamerasOwnQuestionsAreAnswered() {
    var dialogue = Dialogue.playing()
    dialogue.hear("OPTIONS * RTSP/1.0\nCSeq: 77\n\n")
    #expect(dialogue.said() == "RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n")
    dialogue.hear("GET_PARAMETER rtsp://192.0.2.10/live RTSP/1.0\nCSeq: 78\nContent-Length: 4\n\nabcd")
    #expect(dialogue.said() == "RTSP/1.0 200 OK\r\nCSeq: 78\r\n\r\n")
    dialogue.hear("TEARDOWN * RTSP/1.0\nCSeq: 79\n\n")
    #expect(dialogue.ending == .closed)
  }

  @Test func anAnswerToAnotherQuestionIsNone() {
    var dialogue = Dialogue()
    dialogue.hear("RTSP/1.0 404 Not Found\nCSeq: 9\n\n")
    #expect(dialogue.ending == nil)
    dialogue.hear("RTSP/1.0 100 Continue\nCSeq: 1\n\nRTSP/1.0 404 Not Found\n\n")
    #expect(dialogue.ending == .missing)
  }

  @Test func endlessHeadersAreAFault() {
    var dialogue = Dialogue()
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 1\n")
    for number in 0..<2000 {
      dialogue.hear("X-Field-\(number): and so on\n")
      if dialogue.ending != nil { break }
    }
    #expect(dialogue.ending == .malformed(.endlessHead))
    // Many short ones in one piece as well.
    var other = Dialogue()
    other.hear("RTSP/1.0 200 OK\n" + String(repeating: "a:b\n", count: 101) + "\n")
    #expect(other.ending == .malformed(.endlessHead))
  }

  @Test func aBodyBeyondTheLimitIsAFault() {
    var dialogue = Dialogue()
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 1\nContent-Length: 65537\n\n")
    #expect(dialogue.ending == .malformed(.bodyTooLong))
    var negative = Dialogue()
    negative.hear("RTSP/1.0 200 OK\nCSeq: 1\nContent-Length: -1\n\n")
    #expect(negative.ending == .malformed(.malformedHead))
  }

  @Test func whatIsNotRTSPIsAFaultAtOnce() {
    var dialogue = Dialogue()
    dialogue.hear("HTTP/1.1 400 Bad Request\n\n")
    #expect(dialogue.ending == .malformed(.junk))
  }

  @Test func junkBetweenPacketsIsSteppedOver() {
    var dialogue = Dialogue.playing()
    _ = dialogue.happened()
    let packet: [UInt8] = [36, 0, 0, 12, 0x80, 0x60, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4]
    dialogue.hear(packet + Array("lost $ bytes, R and so on".utf8) + packet)
    #expect(dialogue.events.count == 2)
    dialogue.hear(Array(repeating: 0x41, count: 70_000))
    #expect(dialogue.ending == .malformed(.junk))
  }

  @Test func aConnectionThatBreaksIsAnEnd() {
    var dialogue = Dialogue.playing()
    dialogue.client.receivedEnd()
    dialogue.take()
    #expect(dialogue.ending == .closed)
    #expect(dialogue.client.nextDeadline == nil)
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 5\n\n")
    #expect(dialogue.happened().count { if case .ended = $0 { true } else { false } } == 1)
  }
}
