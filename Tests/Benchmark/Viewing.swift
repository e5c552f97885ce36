import CLinux
import Crypto
import Glibc
import HTTP
import ICE
import SDP
import WebRTC
import Wire

/// Viewers of one camera through the gateway, by WHEP, and through Janus's streaming plugin: the same H.264 stream in
/// real time, the same clients, which do ICE, DTLS and SRTP and open every packet.
struct Viewing {
  static let steps = [1, 10, 100, 300]
  static let seconds = 8.0
  static let frame = 1000.0 / Double(CannedVideo.framesPerSecond)

  /// What one step of one server cost.
  struct Figures {
    /// Thousandths of a core for each viewer, the server's own work for the stream among it.
    var processor = 0.0
    var first: [Double] = []
    var latencies: [Double] = []
    var memory = 0.0
    /// Whole pictures of those that the camera took.
    var share = 0.0
    /// What the load itself took, in percent of a core: near 100 its own figures are about itself.
    var client = 0.0
  }

  /// How viewers come to a server and leave it.
  enum Way {
    /// A token is good for all of them.
    case whep(http: UInt16, token: String)
    case janus(http: UInt16)

    var name: String { if case .janus = self { "Janus" } else { "ours" } }
  }

  let loop: LoadLoop
  let maker: any DTLSMaker
  let camera: CannedCamera
  let address: String

  static func measure(turns: Int) {
    let loop = LoadLoop()
    guard let address = ownAddress() else {
      fail("viewers need an address that is not loopback's: Janus has no other")
    }
    let folder = temporaryFolder()
    let camera = CannedCamera(loop, CannedVideo(folder: folder))
    let viewing = Viewing(loop: loop, maker: LoadPeer.maker(loop), camera: camera, address: address)
    print(
      "canned video: \(camera.video.bytes * 8 / CannedVideo.seconds / 1000) kbit/s, "
        + "\(camera.video.pictures.reduce(0) { $0 + $1.count } / CannedVideo.seconds) packets a second")
    let janus = Janus(loop, folder: folder, address: address)
    let gateway = Vestibule(folder: temporaryFolder(), address: address)
    gateway.furnish(
      units: 1,
      cameras: "{ id: \"canned\", source: \"rtsp://127.0.0.1:\(camera.rtspPort)/canned\", view: \"always\" }")
    var ours = steps.map { _ in [Figures]() }
    var theirs = steps.map { _ in [Figures]() }
    for _ in 0..<turns {
      camera.port = janus.videoPort
      let other = viewing.run(.janus(http: janus.port), janus.peer)
      camera.port = nil
      let mine = viewing.run(
        .whep(http: gateway.http, token: viewing.operatorToken(gateway.control)), gateway.peer)
      for index in steps.indices {
        theirs[index].append(other[index])
        ours[index].append(mine[index])
      }
    }
    for (index, count) in steps.enumerated() {
      let mine = ours[index]
      let other = theirs[index]
      report(
        "\(count) viewers, thousandths of a core each", ours: mine.map(\.processor),
        theirs: other.map(\.processor),
        peer: "Janus", aim: count == 100 ? 0.33 : 1)
      say("\(count) viewers, first picture, ms, median and 99th", mine, other) { figures in
        let all = figures.flatMap(\.first)
        return all.isEmpty
          ? "none" : "\(rounded(median(all))), \(rounded(percentile(all, 0.99))) of \(all.count)"
      }
      say("\(count) viewers, camera to last packet, ms, median and 95th", mine, other) { figures in
        let all = figures.flatMap(\.latencies)
        return all.isEmpty ? "none" : "\(rounded(median(all))), \(rounded(percentile(all, 0.95)))"
      }
      report(
        "\(count) viewers, kB each", ours: mine.map(\.memory), theirs: other.map(\.memory), peer: "Janus",
        aim: 1)
      say("\(count) viewers, percent of pictures that came whole", mine, other) { figures in
        rounded(median(figures.map(\.share)) * 100)
      }
    }
    let floor = viewing.floor()
    print("floor of SRTP and one send, thousandths of a core for each viewer: \(rounded(floor))")
    for (name, all) in [("ours", ours), ("Janus", theirs)] {
      let slopes = (0..<turns).map { turn -> Double in
        let few = all[1][turn].processor * Double(steps[1])
        let many = all[3][turn].processor * Double(steps[3])
        return (many - few) / Double(steps[3] - steps[1])
      }
      print(
        "slope from \(steps[1]) to \(steps[3]) viewers, \(name): \(rounded(median(slopes))), "
          + "\(rounded(median(slopes) / floor)) of the floor")
    }
    print("aims: first picture < 150 ms warm, 95th latency < \(rounded(frame + 40)) ms, < 300 kB a viewer")
  }

  private static func say(
    _ what: String, _ ours: [Figures], _ theirs: [Figures], _ text: ([Figures]) -> String
  ) { print("\(what): ours \(text(ours)); Janus \(text(theirs))") }

  /// The first address of this machine that is not loopback's.
  static func ownAddress() -> String? {
    var found = [clinux_endpoint](repeating: clinux_endpoint(), count: 16)
    let count = unsafe clinux_host_addresses(&found, 16)
    for index in 0..<max(0, Int(count)) {
      let address = IPAddress(high: found[index].high, low: found[index].low)
      if address.isV4, !address.isLoopback { return "\(address)" }
    }
    return nil
  }

  // MARK: One server

  /// Viewers join until each step is reached; the first is there before and keeps the camera warm.
  func run(_ way: Way, _ server: borrowing Peer) -> [Figures] {
    var viewers: [LoadViewer] = []
    var clients: [JanusClient] = []
    var result: [Figures] = []
    var empty = Double(server.proportionalSetSize)
    for count in Viewing.steps {
      var figures = Figures()
      let before = viewers.count
      while viewers.count < count {
        join(way, &viewers, &clients)
        // Not all at once, and never in step with the pictures.
        loop.run(seconds: 0.017)
      }
      // Past what the machine can do some see nothing: that is a result too.
      loop.run(within: 20) { viewers.allSatisfy { $0.firstPicture != nil } }
      guard viewers.contains(where: { $0.firstPicture != nil }) else { fail("nobody sees anything") }
      // The first of all starts the camera, and what it loads stays loaded.
      if before == 0 {
        loop.run(seconds: 2)
        empty = Double(server.proportionalSetSize)
      } else {
        figures.first = viewers[before...].compactMap(\.firstPicture)
      }
      loop.run(seconds: 2)
      for viewer in viewers {
        viewer.forgetFigures()
        viewer.measures = true
      }
      let used = server.processorSeconds
      let own = ownProcessorSeconds(getpid())
      let began = LoadLoop.now
      loop.run(seconds: Viewing.seconds)
      let took = Double((LoadLoop.now - began).nanoseconds) / 1e9
      figures.processor = (server.processorSeconds - used) / took * 1000 / Double(count)
      figures.client = (ownProcessorSeconds(getpid()) - own) / took * 100
      for viewer in viewers { viewer.measures = false }
      figures.latencies = viewers.flatMap(\.latencies)
      let expected = Double(count) * Viewing.seconds * Double(CannedVideo.framesPerSecond)
      // Whoever is past what the machine can do loses pictures: that is a result.
      figures.share = Double(viewers.map(\.whole).reduce(0, +)) / expected
      if count > 1 {
        figures.memory = (Double(server.proportionalSetSize) - empty) / Double(count - 1)
      }
      result.append(figures)
      print(
        "  \(way.name), \(count): \(rounded(figures.processor)) thousandths each, "
          + "\(rounded(median(figures.latencies))) ms, \(rounded(figures.share * 100)) % whole, "
          + "the load \(rounded(figures.client)) % of a core")
      fflush(nil)
    }
    for client in clients { client.leave() }
    for viewer in viewers { viewer.peer.close() }
    loop.run(seconds: 1)
    return result
  }

  private func join(_ way: Way, _ viewers: inout [LoadViewer], _ clients: inout [JanusClient]) {
    switch way {
    case .janus(let port):
      let viewer = LoadViewer(loop, maker, camera, address: address, role: .controlled)
      viewers.append(viewer)
      let client = JanusClient(loop, viewer, port: port)
      clients.append(client)
      client.start()
    case .whep(let port, let token):
      let viewer = LoadViewer(loop, maker, camera, address: address, role: .controlling)
      viewers.append(viewer)
      let offer = viewer.peer.offer(
        audio: PeerMedia(LoadFormats.voice, .recvonly), video: PeerMedia(LoadFormats.picture, .recvonly))
      viewer.began = LoadLoop.now
      watch(viewer, offer, token, port, number: viewers.count, tries: 0)
    }
  }

  /// Strangers' connections are paced, and a camera that starts is worth waiting for.
  private func watch(
    _ viewer: LoadViewer, _ offer: String, _ token: String, _ port: UInt16, number: Int, tries: Int
  ) {
    LoadRequest(
      loop, .post, "/whep/canned", port: port, from: "127.0.\(40 + number / 200).\(number % 200 + 1)",
      fields: [("Authorization", "Bearer \(token)"), ("Content-Type", "application/sdp")], body: offer
    ) { reply in
      if let reply, reply.status == 201 { return viewer.peer.take(answer: reply.text) }
      guard tries < 100, reply == nil || reply?.status == 409 || reply?.status == 503 else {
        fail("WHEP refused: \(reply?.status ?? 0) \(reply?.text ?? "")")
      }
      loop.after(seconds: 0.05) {
        viewer.began = LoadLoop.now
        watch(viewer, offer, token, port, number: number, tries: tries + 1)
      }
    }
  }

  private func operatorToken(_ control: String) -> String {
    let text = shell(
      "curl -s --unix-socket \(control) -X POST http://gateway/api/v1/cameras/canned/token")
    guard let token = quoted("token", inJSON: text) else { fail("no token for the camera: \(text)") }
    return token
  }

  // MARK: The floor

  /// What nobody can do without: each packet protected for each viewer, and one segmented send for each picture, in
  /// thousandths of a core for a viewer. The receivers are drained beside the sum.
  func floor() -> Double {
    let viewers = 50
    guard let ip = IPAddress(address) else { return 0 }
    let receivers = (0..<viewers).map { _ in LoadSocketBox(address) }
    let keys = SRTPKeys(
      .aeadAES128GCM, key: Array(repeating: 1, count: 16), salt: Array(repeating: 2, count: 12))
    let senders = receivers.map { _ in SRTPSender(keys) }
    let own = LoadSocket(address)
    let message = unsafe clinux_sender_make(1, 64)
    defer { unsafe clinux_sender_free(message) }
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    var used = 0.0
    var sequence: UInt16 = 0
    let pictures = camera.video.pictures
    for picture in pictures {
      let began = processorSeconds()
      for (index, sender) in senders.enumerated() {
        var place = 0
        var lengths: [Int] = []
        for (number, payload) in picture.enumerated() {
          let number = sequence &+ UInt16(number)
          let head: [UInt8] = [0x80, 96, UInt8(number >> 8), UInt8(number & 255), 0, 0, 0, 0, 0, 0, 0, 1]
          var room = buffer.mutableSpan
          let length = sender.protect(head.span, payload.span, into: &room, at: place)
          place += length
          lengths.append(length)
        }
        let to = clinux_endpoint(high: ip.high, low: ip.low, scope: 0, port: receivers[index].socket.port)
        // A run of equal packets is one send; those before it (parameter sets) are their own.
        unsafe buffer.withUnsafeBufferPointer { all in
          var start = 0
          var first = 0
          while first < lengths.count {
            var end = first + 1
            while end < lengths.count, lengths[end - 1] == lengths[first], lengths[end] <= lengths[first] {
              end += 1
            }
            let total = lengths[first..<end].reduce(0, +)
            unsafe clinux_sender_clear(message)
            unsafe clinux_sender_begin(
              message, to, 0, clinux_endpoint(), end - first > 1 ? UInt16(lengths[first]) : 0)
            unsafe clinux_sender_add(message, all.baseAddress! + start, total)
            _ = unsafe clinux_sender_go(message, own.descriptor, 0)
            start += total
            first = end
          }
        }
      }
      used += processorSeconds() - began
      sequence &+= UInt16(picture.count)
      for receiver in receivers { _ = receiver.socket.drain() }
    }
    return used / Double(CannedVideo.seconds) * 1000 / Double(viewers)
  }

  private func processorSeconds() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
