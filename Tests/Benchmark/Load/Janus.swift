import HTTP
import JSON
import SDP
import Wire

/// A Janus of Debian with one mountpoint of its streaming plugin, and its clients' signalling.
struct Janus: ~Copyable {
  let port: UInt16
  /// Where it takes RTP.
  let videoPort: UInt16
  let peer: Peer

  /// Starts it with a configuration of its own; media on `address`.
  init(_ loop: LoadLoop, folder: String, address: String) {
    port = LoadSocket("127.0.0.1", stream: true).port
    videoPort = LoadSocket("127.0.0.1").port
    let library = run("ls -d /usr/lib/*/janus").split(separator: "\n").first.map(String.init) ?? ""
    guard !library.isEmpty else { fail("janus is not installed: apt-get install janus") }
    func others(_ kind: String, but one: String) -> String {
      entries(of: "\(library)/\(kind)").filter { $0.hasSuffix(".so") && $0 != one }.joined(separator: ",")
    }
    write(
      """
      general: { configs_folder = "\(folder)", plugins_folder = "\(library)/plugins",
        transports_folder = "\(library)/transports", events_folder = "\(library)/events",
        loggers_folder = "\(library)/loggers", debug_level = 2, session_timeout = 0, server_name = "bench" }
      media: { rtp_port_range = "10000-19999" }
      nat: { ice_enforce_list = "\(address)" }
      plugins: { disable = "\(others("plugins", but: "libjanus_streaming.so"))" }
      transports: { disable = "\(others("transports", but: "libjanus_http.so"))" }
      events: { broadcast = false }
      """, to: "\(folder)/janus.jcfg")
    write(
      """
      general: { json = "compact", base_path = "/janus", http = true, port = \(port), ip = "127.0.0.1", https = false }
      admin: { admin_http = false }
      """, to: "\(folder)/janus.transport.http.jcfg")
    // It keeps the newest key picture for newcomers: otherwise they wait for the next one.
    write(
      """
      general: { }
      camera: { type = "rtp", id = 1, description = "canned", audio = false, video = true,
        videoport = \(videoPort), videoiface = "127.0.0.1", videopt = 96, videocodec = "h264",
        videofmtp = "profile-level-id=42e01f;packetization-mode=1", videobufferkf = true }
      """, to: "\(folder)/janus.plugin.streaming.jcfg")
    peer = Peer(["janus", "-C", "\(folder)/janus.jcfg", "-F", folder], output: "\(folder)/janus.log")
    for _ in 0..<100 {
      var status = 0
      var isDone = false
      LoadRequest(loop, .get, "/janus/info", port: port) {
        status = $0?.status ?? 0
        isDone = true
      }
      loop.run(within: 1) { isDone }
      if status == 200 { return }
      loop.run(seconds: 0.1)
    }
    fail("janus does not answer: \(contents(of: folder + "/janus.log"))")
  }
}

/// One client of the streaming plugin: a session of its own, as viewers elsewhere have.
final class JanusClient {
  private let loop: LoadLoop
  private let viewer: LoadViewer
  private let port: UInt16
  private var path = "/janus"
  private var isOver = false

  init(_ loop: LoadLoop, _ viewer: LoadViewer, port: UInt16) {
    self.loop = loop
    self.port = port
    self.viewer = viewer
  }

  /// Opens session and handle, which a page would have, then asks for the picture.
  func start() {
    post(["janus": "create"]) { [self] reply in
      path += "/\(reply["data"]?["id"]?.integer ?? 0)"
      poll()
      let session = path
      post(["janus": "attach", "plugin": "janus.plugin.streaming"]) { [self] reply in
        path = "\(session)/\(reply["data"]?["id"]?.integer ?? 0)"
        viewer.began = LoadLoop.now
        post(["janus": "message", "body": ["request": "watch", "id": 1]]) { _ in }
      }
    }
  }

  func leave() {
    isOver = true
    let session = path.split(separator: "/").prefix(2).joined(separator: "/")
    path = "/" + session
    post(["janus": "destroy"]) { _ in }
  }

  private func post(_ message: JSONValue, then: @escaping (JSONNode) -> Void) {
    guard case .object(var fields) = message else { return }
    fields.append(JSONField("transaction", .string("\(loop.random.next())")))
    LoadRequest(
      loop, .post, path, port: port, fields: [("Content-Type", "application/json")],
      body: JSONValue.object(fields).text()
    ) { [isOver] reply in
      if isOver { return }
      guard let reply, let node = try? JSONNode(parsing: reply.body), node["janus"]?.string != "error" else {
        fail("janus answered \(reply?.text ?? "nothing")")
      }
      then(node)
    }
  }

  /// Events come by long polls.
  private func poll() {
    let session = path.split(separator: "/").prefix(2).joined(separator: "/")
    LoadRequest(loop, .get, "/\(session)?maxev=5", port: port) { [weak self] reply in
      guard let self, !isOver else { return }
      if let reply, let node = try? JSONNode(parsing: reply.body) {
        for event in node.array ?? [node] { hear(event) }
      }
      poll()
    }
  }

  private func hear(_ event: JSONNode) {
    guard let offer = event["jsep"]?["sdp"]?.string else { return }
    let answer = viewer.peer.answer(to: offer, .recvonly, LoadFormats.picture)
    post([
      "janus": "message", "body": ["request": "start"], "jsep": ["type": "answer", "sdp": .string(answer)],
    ]) { _ in }
    post(["janus": "trickle", "candidate": ["completed": true]]) { _ in }
  }
}
