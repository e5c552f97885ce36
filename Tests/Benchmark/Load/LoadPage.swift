import HTTP
import SDP
import WebRTC
import Wire

/// A resident's page of the load: enrolled by a link, it follows events, is rung, and answers with a `LoadPeer`.
final class LoadPage {
  private let loop: LoadLoop
  private let port: UInt16
  private let address: String
  private var bearer = ""
  private var decoder = ServerSentEventDecoder()
  private var stream: LoadRequest?
  private var hasEnded = false
  /// The call that rings last.
  private(set) var ringing: String?

  /// Redeems `link` and begins to follow events; from `address`, as pages have addresses of their own.
  init(_ loop: LoadLoop, http: UInt16, link: String, address: String) {
    self.loop = loop
    port = http
    self.address = address
    let given = loop.ask(.post, "/provision/\(link)", port: port, from: address)
    guard given.status == 200, let bearer = quoted("bearer", inJSON: given.text) else {
      fail("a page could not be enrolled: \(given.text)")
    }
    self.bearer = bearer
    // Only who listens is rung.
    for _ in 0..<100 {
      follow()
      if loop.run(within: 0.5, until: { hasEnded || stream?.status == 200 }), !hasEnded { return }
      loop.run(seconds: 0.05)
    }
    fail("no event stream opened")
  }

  private func follow() {
    hasEnded = false
    stream = LoadRequest(
      loop, .get, "/api/v1/events", port: port, from: address,
      fields: [("Authorization", "Bearer \(bearer)"), ("Accept", "text/event-stream")],
      part: { [weak self] in self?.take($0) }, then: { [weak self] _ in self?.hasEnded = true })
  }

  deinit { stream?.cancel() }

  private func take(_ bytes: [UInt8]) {
    for event in decoder.decode(bytes) where event.data.contains("call.ringing") {
      ringing = quoted("call", inJSON: event.data) ?? ringing
    }
  }

  /// Waits until it rings, answers with `offer`, and gives the answer to it.
  func answer(_ offer: String) -> String {
    guard loop.run(within: 5, until: { ringing != nil }), let call = ringing else {
      fail("a page was not rung")
    }
    ringing = nil
    let answer = loop.ask(
      .post, "/api/v1/calls/\(call)/answer", port: port, from: address,
      fields: [("Authorization", "Bearer \(bearer)"), ("Content-Type", "application/sdp")], body: offer)
    guard answer.status == 201 else {
      fail("a page's answer was refused: \(answer.status) \(answer.text)")
    }
    return answer.text
  }
}

/// What pages and browsers say of sound.
enum LoadFormats {
  static let voice: [Format] = [.opus, .pcmu, .pcma, .telephoneEvent(101)]
  static let law: [Format] = [.pcma, .telephoneEvent(101)]
  /// As browsers list them: constrained baseline and baseline, both modes.
  static let picture: [Format] = [
    (102, "42e01f", 1), (104, "42e01f", 0), (106, "42001f", 1), (108, "4d001f", 1), (112, "64001f", 1),
  ].map { number, profile, mode in
    Format(
      payloadType: number, encoding: "H264", clockRate: 90_000,
      parameters: "level-asymmetry-allowed=1;packetization-mode=\(mode);profile-level-id=\(profile)")
  }
}
