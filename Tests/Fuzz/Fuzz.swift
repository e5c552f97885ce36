/// Every fuzz harness in one program: the first argument names one, the rest is libFuzzer's. Without an argument it
/// prints the names.
///
/// A harness feeds bytes to one reader or one machine and checks what must hold whatever they are: nothing traps,
/// what was written is read back the same, a stream cut anywhere says what the whole would, and whatever was begun
/// ends. Inputs that once broke something stay in `Corpus/<harness>`.
@main
struct Fuzz {
  static let harnesses: [(name: String, body: @Sendable ([UInt8]) -> Void)] = [
    ("sip-message", SIPHarness.message), ("sip-framer", SIPHarness.framer), ("sip-values", SIPHarness.values),
    ("digest", SIPHarness.digest), ("registrar", RegistrarHarness.run), ("agent", AgentHarness.run),
    ("sdp", MediaHarness.description), ("rtp", MediaHarness.packet), ("rtcp", MediaHarness.control),
    ("telephone-event", MediaHarness.event), ("voice", VoiceHarness.payload),
    ("jitter-buffer", VoiceHarness.buffer), ("packet-history", VoiceHarness.history),
    ("media-plane", PlaneHarness.run), ("picture-packets", ViewerHarness.packetizer),
    ("bandwidth", ViewerHarness.estimate), ("viewer", ViewerHarness.viewer), ("stun", ICEHarness.datagram),
    ("ice", ICEHarness.session), ("relay", RelayHarness.lease), ("mappings", RelayHarness.mappings),
    ("trickle", ICEHarness.fragment), ("dtls", PeerHarness.handshake), ("srtp", PeerHarness.packet),
    ("peer-description", PeerHarness.description), ("peer-datagrams", PeerHarness.datagrams),
    ("head", HTTPHarness.head),
    ("http-server", HTTPHarness.server), ("http-client", HTTPHarness.client),
    ("http-values", HTTPHarness.values), ("websocket-server", WebSocketHarness.server),
    ("websocket-client", WebSocketHarness.client), ("websocket-handshake", WebSocketHarness.handshake),
    ("json", FileHarness.json), ("directory", FileHarness.directory),
    ("configuration", FileHarness.configuration), ("zone", FileHarness.zone), ("api", FileHarness.api),
    ("rtsp-client", RTSPHarness.client), ("rtsp-values", RTSPHarness.values),
    ("rtsp-media", RTSPHarness.media), ("pictures", PictureHarness.decoder),
    ("pixels", PictureHarness.pixels), ("aac", PictureHarness.sound),
  ]
  // Set once before the driver runs, read by its one thread.
  nonisolated(unsafe) static var chosen: ([UInt8]) -> Void = { _ in }

  static func main() {
    let arguments = CommandLine.arguments
    guard arguments.count > 1 else {
      for harness in harnesses { print(harness.name) }
      return
    }
    guard let harness = harnesses.first(where: { $0.name == arguments[1] }) else {
      print("there is no harness \(arguments[1])")
      return
    }
    unsafe chosen = harness.body
    drive([arguments[0]] + arguments.dropFirst(2))
  }
}
