import Cameras
import Directory
import HTTP
import MediaPlane
import Testing
import Web
import WebRTC
import Wire

@Suite struct WHEPTests {
  let bench = WHEPBench()

  // MARK: Opening

  @Test func aWarmCameraIsAnsweredAtOnce() {
    bench.goLive()
    let answer = bench.post()
    #expect(answer.status == 201 && answer.body == "v=0 answer")
    #expect(answer.fields["Content-Type"] == "application/sdp")
    #expect(answer.fields["Accept-Patch"] == "application/trickle-ice-sdpfrag")
    #expect(answer.tag.count == 18 && answer.tag.first == "\"" && answer.tag.last == "\"")
    #expect(answer.session.hasPrefix("/whep/door/"))
    #expect(answer.session.count == "/whep/door/".count + 32)
    #expect(bench.studio.keeper.status(of: Studio.door)?.viewers == 2)
    let other = bench.post()
    #expect(other.tag != answer.tag && other.session != answer.session)
  }

  @Test func aColdOneIsWaitedForALittle() {
    let early = bench.sendPost()
    #expect(bench.heard(early) == nil && bench.studio.state == .starting)
    bench.pass(.seconds(1))
    bench.studio.last.begin()
    #expect(bench.heard(early) == nil)
    bench.studio.last.show()
    #expect(bench.heard(early)?.status == 201)
    #expect(bench.studio.state == .live)
  }

  @Test func oneThatTakesLongerIsAConflictAndGoesOnStarting() {
    let early = bench.sendPost()
    bench.pass(.seconds(3))
    let answer = bench.heard(early)
    #expect(answer?.status == 409 && answer?.word("reason") == "camera-starting")
    #expect(answer?.fields["Retry-After"] == "1")
    #expect(answer?.fields["Content-Type"] == "application/problem+json")
    #expect(bench.studio.state == .starting && bench.seated.isEmpty)
    bench.studio.last.begin()
    bench.studio.last.show()
    #expect(bench.post().status == 201)
    #expect(bench.studio.sources.count == 1)
  }

  @Test func oneThatFailedSaysWhyAndWhen() {
    let early = bench.sendPost()
    bench.studio.last.end(.credentials, "the camera does not accept the password")
    let answer = bench.heard(early)
    #expect(answer?.status == 409 && answer?.word("reason") == "camera-off")
    #expect(answer?.word("detail") == "the camera does not accept the password")
    let again = bench.post()
    #expect(again.status == 409)
    #expect(Int(again.fields["Retry-After"] ?? "").map { (30...60).contains($0) } == true)
    #expect(bench.studio.sources.count == 1 && bench.studio.state == .idle)
  }

  @Test func whatItShowedBeforeIsTakenForWhatItWillShow() {
    bench.goLive()
    bench.studio.keeper.unwatch(Studio.door)
    bench.pass(.seconds(8))
    #expect(bench.studio.state == .idle)
    #expect(bench.post().status == 201)
    #expect(bench.studio.state == .starting)
  }

  @Test func whoMayNotLookGetsNothing() {
    bench.goLive()
    let none = bench.post(token: nil)
    #expect(none.status == 401 && none.fields["WWW-Authenticate"] == "Bearer")
    let wrong = bench.post(token: "nonsense")
    #expect(wrong.status == 401)
    #expect(wrong.fields["WWW-Authenticate"] == "Bearer error=\"invalid_token\"")
    bench.grant("yard", to: "web401", "yard")
    #expect(bench.post(token: "yard").status == 403)
    #expect(bench.post(token: "device").status == 201)
    bench.mayLook = { viewer, _ in viewer.credential == nil }
    let device = bench.post(token: "device")
    #expect(device.status == 403 && device.word("reason") == "not-now")
    bench.grant("gone", to: "web401", "attic")
    #expect(bench.post("attic", token: "gone").status == 404)
    #expect(bench.seated.count == 1)
  }

  @Test func bodiesThatAreNoOffersAreRefused() {
    bench.goLive()
    let type = bench.post(type: "application/json")
    #expect(type.status == 415 && type.fields["Accept-Post"] == "application/sdp")
    #expect(bench.post(type: nil).status == 415)
    #expect(bench.post(type: "Application/SDP; charset=utf-8").status == 201)
    #expect(bench.post(offer: "hello").status == 400)
    #expect(bench.post(offer: "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n").status == 400)
    #expect(bench.post(offer: WHEPBench.offer(video: "sendonly")).status == 400)
    #expect(bench.post(offer: WHEPBench.offer(audio: "inactive")).status == 400)
    #expect(bench.post(offer: WHEPBench.offer(audio: "sendrecv", video: "sendrecv")).status == 201)
    #expect(bench.post(offer: String(repeating: "a", count: 70_000)).status == 413)
    #expect(bench.studio.keeper.status(of: Studio.door)?.viewers == 3)
  }

  @Test func whatDecodesIsKnownByTheUserAgent() {
    let bench = WHEPBench()
    bench.goLive()
    let safari =
      "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/604.1"
    for agent in [[("User-Agent", safari)], []] {
      let answer = bench.ask(
        "POST", "/whep/door", fields: [("Content-Type", "application/sdp")] + agent, body: WHEPBench.offer())
      #expect(answer.status == 201)
    }
    #expect(bench.engines == [.webKit, .other])
  }

  @Test func aBrowserWithoutTheCodecIsToldSo() {
    bench.goLive()
    bench.refusal = .noCodec("this browser offers no H.264")
    let answer = bench.post()
    #expect(answer.status == 406 && answer.word("reason") == "no-codec")
    #expect(answer.fields["Content-Type"] == "application/problem+json")
    #expect(bench.studio.keeper.status(of: Studio.door)?.viewers == 1)
    #expect(bench.whep.figures.noCodec == 1)
  }

  @Test func whoAsksForNoPictureIsOfferedOne() {
    bench.goLive()
    bench.refusal = .noPicture
    let answer = bench.post(offer: WHEPBench.offer(video: nil))
    #expect(answer.status == 406 && answer.body == "v=0 proposal")
    #expect(
      answer.fields["Content-Type"] == "application/sdp; valid-until=\"Fri, 20 Nov 2026 21:29:09 GMT\"")
    // Candidates come to nothing before the answer.
    #expect(bench.patch(answer.session, tag: "*").status == 415)
    #expect(bench.patch(answer.session, tag: nil, type: "application/sdp", body: "no").status == 400)
    let accepted = bench.patch(
      answer.session, tag: nil, type: "application/sdp", body: WHEPBench.offer(audio: nil))
    #expect(accepted.status == 204 && bench.accepted.count == 1)
    #expect(bench.patch(answer.session, tag: "*").status == 204)
    #expect(bench.ask("DELETE", answer.session).status == 200)
  }

  @Test func aProposalThatNobodyTakesEnds() {
    bench.goLive()
    bench.refusal = .noPicture
    let answer = bench.post(offer: WHEPBench.offer(video: nil))
    for leg in bench.seated { bench.connected.insert(leg) }
    for _ in 0..<30 {
      bench.pass(.seconds(1))
      bench.studio.last.show()
    }
    #expect(bench.seated.isEmpty)
    #expect(
      bench.patch(answer.session, tag: nil, type: "application/sdp", body: WHEPBench.offer()).status == 404)
  }

  // MARK: The session

  @Test func candidatesAreTakenUnderTheRightTagOnly() {
    bench.goLive()
    let answer = bench.post()
    let added = bench.patch(answer.session, tag: answer.tag)
    #expect(added.status == 204 && added.fields["ETag"] == nil && added.body.isEmpty)
    #expect(bench.trickled.count == 1)
    #expect(bench.patch(answer.session, tag: nil).status == 428)
    #expect(bench.patch(answer.session, tag: "\"other\"").status == 412)
    #expect(bench.patch(answer.session, tag: "W/\(answer.tag)").status == 412)
    #expect(bench.patch(answer.session, tag: "\"other\", \(answer.tag)").status == 204)
    #expect(bench.patch(answer.session, tag: answer.tag, type: "application/sdp").status == 415)
    #expect(bench.patch(answer.session, tag: answer.tag, body: "nonsense").status == 400)
    #expect(bench.patch(answer.session + "0", tag: answer.tag).status == 404)
    #expect(bench.trickled.count == 2)
  }

  @Test func aRestartGetsANewTagAndTheOldOneIsStale() {
    bench.goLive()
    let answer = bench.post()
    bench.trickle = .restarted(Array("a=ice-lite\r\n".utf8))
    for star in ["*", "\"*\""] {
      let restarted = bench.patch(answer.session, tag: star)
      #expect(restarted.status == 200 && restarted.body == "a=ice-lite\r\n")
      #expect(restarted.fields["Content-Type"] == "application/trickle-ice-sdpfrag")
      #expect(restarted.tag.count == 18 && restarted.tag != answer.tag)
    }
    #expect(bench.patch(answer.session, tag: answer.tag).status == 412)
    bench.trickle = .refused("the password of ICE is too short")
    let before = bench.ask("GET", answer.session).tag
    #expect(bench.patch(answer.session, tag: "*").status == 422)
    #expect(bench.ask("GET", answer.session).tag == before)
    #expect(bench.seated.count == 1)
  }

  @Test func theEndGivesEverythingBack() {
    bench.goLive()
    let answer = bench.post()
    #expect(
      bench.ask("DELETE", answer.session, token: nil, fields: [("If-Match", "\"whatever\"")]).status == 200)
    #expect(bench.seated.isEmpty && bench.whep.count == 0)
    #expect(bench.studio.keeper.status(of: Studio.door)?.viewers == 1)
    #expect(bench.ask("DELETE", answer.session).status == 200)
    #expect(bench.patch(answer.session, tag: answer.tag).status == 404)
    #expect(bench.ask("DELETE", "/whep/door/0123456789abcdef0123456789abcdef").status == 404)
  }

  @Test func aSessionIsItsViewersAlone() {
    bench.goLive()
    bench.grant("other", to: "web402", "door")
    let answer = bench.post()
    #expect(bench.ask("DELETE", answer.session, token: "other").status == 403)
    #expect(bench.ask("DELETE", answer.session, token: "wrong").status == 401)
    #expect(bench.patch(answer.session, tag: answer.tag, token: "wrong").status == 401)
    #expect(bench.ask("DELETE", answer.session.replacingCamera("yard"), token: "t").status == 404)
    // Players that show nothing here are heard from where the offer came from.
    let elsewhere = bench.patch(answer.session, tag: answer.tag, from: "192.0.2.8")
    #expect(elsewhere.status == 401 && elsewhere.fields["WWW-Authenticate"] == "Bearer")
    #expect(bench.ask("DELETE", answer.session, token: nil, from: "192.0.2.8").status == 401)
    #expect(bench.patch(answer.session, tag: answer.tag, token: "t", from: "192.0.2.8").status == 204)
    #expect(bench.patch(answer.session, tag: answer.tag).status == 204)
    // The token that it was opened with may have ended meanwhile.
    bench.grants["t"] = nil
    #expect(bench.patch(answer.session, tag: answer.tag, token: "t").status == 204)
    #expect(bench.ask("DELETE", answer.session, token: "t").status == 200)
  }

  @Test func resourcesHaveNoContentAndSayWhatTheyTake() {
    bench.goLive()
    for method in ["GET", "HEAD"] {
      let endpoint = bench.ask(method, "/whep/door")
      #expect(endpoint.status == 200 && endpoint.body.isEmpty)
      #expect(endpoint.fields["Content-Type"] == "application/sdp")
    }
    #expect(bench.ask("GET", "/whep/door", token: nil).status == 401)
    let session = bench.ask("GET", bench.post().session)
    #expect(session.status == 200 && session.body.isEmpty)
    let options = bench.ask("OPTIONS", "/whep/door", token: nil)
    #expect(options.status == 200 && options.fields["Accept-Post"] == "application/sdp")
    #expect(bench.ask("PUT", "/whep/door").status == 405)
    #expect(bench.ask("PATCH", "/whep/door").status == 405)
  }

  @Test func pagesOfOthersThatAreLetInLearnWhatTheyMayAsk() {
    let bench = WHEPBench(origins: OriginPolicy(allowed: ["https://page.example"]))
    let question = [
      ("Origin", "https://page.example"), ("Access-Control-Request-Method", "POST"),
      ("Access-Control-Request-Headers", "authorization,content-type"),
    ]
    let endpoint = bench.ask("OPTIONS", "/whep/door", token: nil, fields: question)
    #expect(endpoint.status == 200 && endpoint.fields["Accept-Post"] == "application/sdp")
    #expect(endpoint.fields["Access-Control-Allow-Methods"] == "POST, GET, HEAD, OPTIONS")
    let session = bench.ask("OPTIONS", "/whep/door/1", token: nil, fields: question)
    #expect(session.fields["Access-Control-Allow-Methods"] == "PATCH, DELETE, GET, HEAD, OPTIONS")
    #expect(session.fields["Access-Control-Allow-Headers"]?.contains("If-Match") == true)
    bench.goLive()
    let answer = bench.ask(
      "POST", "/whep/door",
      fields: [("Origin", "https://page.example"), ("Content-Type", "application/sdp")],
      body: WHEPBench.offer())
    #expect(answer.fields["Access-Control-Allow-Origin"] == "https://page.example")
    let readable = answer.fields["Access-Control-Expose-Headers"] ?? ""
    for name in ["Location", "ETag", "Link", "Retry-After", "Accept-Patch"] {
      #expect(readable.contains(name), "\(name)")
    }
  }

  @Test func serversForICEAreNamedInLinks() {
    bench.goLive()
    bench.whep.servers = ["<stun:192.0.2.1:3478>; rel=\"ice-server\""]
    #expect(bench.post().fields["Link"] == "<stun:192.0.2.1:3478>; rel=\"ice-server\"")
  }

  // MARK: The door

  @Test func whoSpeaksWhileItRingsAnswersTheDoor() {
    bench.goLive()
    var offers: [ViewerOffer] = []
    var hangUps = 0
    var fragments: [[UInt8]] = []
    bench.whep.whenOffered = { [bench] offer in
      offers.append(offer)
      guard offers.count == 2 else { return false }
      let talk = Talk(
        call: "c1", name: "0123456789abcdef0123456789abcdef", leg: LegID(Handle(raw: 99)), tag: "first",
        description: Array("v=0 talk".utf8)
      ) { fragment, then in
        fragments.append(fragment)
        then(fragments.count == 1 ? .taken : .restarted([1]), fragments.count == 1 ? nil : "second")
      } hangUp: {
        hangUps += 1
      }
      offer.answer(bench.whep.enter(talk, answering: offer))
      return true
    }
    #expect(bench.post().body == "v=0 answer")
    #expect(offers.isEmpty, "who only listens is asked nothing")
    // Nothing rings: it only looks.
    #expect(bench.post(offer: WHEPBench.offer(audio: "sendrecv")).body == "v=0 answer")
    let talk = bench.post(offer: WHEPBench.offer(audio: "sendrecv"))
    #expect(talk.status == 201 && talk.body == "v=0 talk" && talk.tag == "\"first\"")
    #expect(talk.session == "/whep/door/0123456789abcdef0123456789abcdef")
    #expect(offers.last?.viewer.holder == "web401" && bench.seated.count == 2)
    #expect(bench.patch(talk.session, tag: nil, token: "t").status == 428)
    #expect(bench.patch(talk.session, tag: "\"first\"", token: "t").status == 204)
    let restarted = bench.patch(talk.session, tag: "*", token: "t")
    #expect(restarted.status == 200 && restarted.tag == "\"second\"")
    #expect(bench.patch(talk.session, tag: "\"first\"", token: "t").status == 412 && fragments.count == 2)
    // A conversation is its token's alone.
    #expect(bench.ask("DELETE", talk.session, token: nil).status == 401 && hangUps == 0)
    #expect(bench.patch(talk.session, tag: "*").status == 401)
    // A connection that is lost is the call's affair.
    #expect(!bench.whep.lost(LegID(Handle(raw: 99))))
    #expect(bench.ask("DELETE", talk.session).status == 200 && hangUps == 1)
    #expect(bench.studio.keeper.status(of: Studio.door)?.viewers == 3)
  }

  @Test func whoSpeaksBeforeTheCameraShowsAnswersTheDoorWhenItDoes() {
    var asked = 0
    bench.whep.whenOffered = { [bench] offer in
      asked += 1
      guard asked == 2 else { return false }
      let talk = Talk(
        call: "c1", name: "n", leg: LegID(Handle(raw: 99)), tag: "t", description: Array("v=0 talk".utf8)
      ) { _, then in
        then(.taken, nil)
      } hangUp: {
      }
      offer.answer(bench.whep.enter(talk, answering: offer))
      return true
    }
    let early = bench.sendPost(offer: WHEPBench.offer(audio: "sendrecv"))
    #expect(asked == 1 && bench.heard(early) == nil)
    bench.studio.last.begin()
    bench.studio.last.show()
    #expect(bench.heard(early)?.body == "v=0 talk")
    #expect(bench.seated.isEmpty && bench.whep.count == 1)
    #expect(bench.studio.keeper.status(of: Studio.door)?.viewers == 1)
  }

  @Test func aCallThatIsOverLeavesNoSession() {
    bench.goLive()
    bench.whep.whenOffered = { [bench] offer in
      let talk = Talk(
        call: "c1", name: "n", leg: LegID(Handle(raw: 99)), tag: "t", description: []
      ) { _, then in
        then(.taken, nil)
      } hangUp: {
      }
      offer.answer(bench.whep.enter(talk, answering: offer))
      return true
    }
    _ = bench.post(offer: WHEPBench.offer(audio: "sendrecv"))
    bench.whep.over("c2")
    #expect(bench.whep.count == 1)
    bench.whep.over("c1")
    #expect(bench.whep.count == 0 && bench.studio.keeper.status(of: Studio.door)?.viewers == 1)
  }
}

extension String {
  /// The same address below another camera.
  fileprivate func replacingCamera(_ name: String) -> String {
    let parts = split(separator: "/")
    return "/\(parts[0])/\(name)/\(parts[2])"
  }
}
