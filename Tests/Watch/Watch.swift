// The gateway's cameras by themselves: opens one and says line by line what it tells, with the milliseconds since the
// beginning.
//
//   Watch url=rtsp://… [user=… password=…] [known="datagrams -"] [dump=FILE] [voice=FILE] [again=yes]
//   Watch url=v4l2:/dev/video0 [size=640x480] [rate=25] [control:Brightness=10] [mask=X,Y,W,H] [shows=yes] [microphone=hw:1,0] …
//   Watch url=test:pattern …
//
// `shows` decodes the pictures, and tells how bright the left and the right half of each are, and the number of a test
// picture.
// `dump` takes the pictures as a byte stream that any decoder reads, `voice` the sound as it goes into RTP; `again` opens it anew after it ended, as the
// gateway does. SIGHUP is the last viewer leaving, and the next one coming. It runs until it is told to stop (SIGTERM), or
// until the camera ends.
import Cameras
import Capture
import Codecs
import Crypto
import Directory
import Glibc
import RTP
import RTSP
import Reactor
import Transport
import Wire

@main struct Watch {
  static func main() {
    var words: [String: String] = [:]
    for word in CommandLine.arguments.dropFirst() {
      let halves = word.split(separator: "=", maxSplits: 1)
      if halves.count == 2 { words[String(halves[0])] = String(halves[1]) }
    }
    guard let url = words["url"] else {
      print("usage: Watch url=rtsp://…|v4l2:PATH|test:pattern [dump=FILE] [again=yes] [shows=yes] …")
      exit(64)
    }
    var options = Reactor.Options()
    options.takesSignals = true
    Reactor.run(options) { WatchResident($0, url, words) }
  }
}

extension Watch {
  static func camera(_ url: String, _ words: [String: String]) -> Camera {
    var capture = Capture()
    func numbers(_ word: String, _ separator: Character) -> [Int] {
      (words[word] ?? "").split(separator: separator).compactMap { Int($0) }
    }
    let size = numbers("size", "x")
    if size.count == 2 { (capture.width, capture.height) = (size[0], size[1]) }
    capture.framesPerSecond = numbers("rate", " ").first ?? capture.framesPerSecond
    let mask = numbers("mask", ",")
    if mask.count == 4 {
      capture.masks = [Capture.Mask(x: mask[0], y: mask[1], width: mask[2], height: mask[3])]
    }
    for (word, value) in words.sorted(by: { $0.key < $1.key }) where word.hasPrefix("control:") {
      capture.controls.append(Capture.Control(name: String(word.dropFirst(8)), value: Int(value) ?? 0))
    }
    let source: Camera.Source =
      url == "test:pattern"
      ? .pattern : url.hasPrefix("v4l2:") ? .v4l2(path: String(url.dropFirst(5))) : .rtsp(url: url)
    return Camera(id: CameraID("camera"), source: source, capture: capture, microphone: words["microphone"])
  }
}

/// Looks at pictures as a viewer would.
final class Eye {
  private var decoder: VideoDecoder
  private var shown: Picture?

  init?() {
    guard let decoder = try? VideoDecoder(.h264) else { return nil }
    self.decoder = decoder
  }

  func look(at unit: AccessUnit) -> String {
    let bytes = unit.annexB
    guard decoder.decode(bytes.span, into: &shown), let shown else { return "nothing" }
    func mean(_ columns: Range<Int>) -> Int {
      var sum = 0
      var count = 0
      for y in stride(from: 0, to: shown.height, by: 8) {
        for x in stride(from: columns.lowerBound, to: columns.upperBound, by: 8) {
          sum += Int(shown.luma(x: x, y: y))
          count += 1
        }
      }
      return sum / max(count, 1)
    }
    let number = Pattern.read(shown).map { " \($0.number)" } ?? ""
    return "\(mean(0..<shown.width / 2)) \(mean(shown.width / 2..<shown.width))\(number)"
  }
}

final class WatchResident: Resident {
  private let reactor: Reactor
  private let streams: Streams
  private let cameras: RTSPCameras
  private let machine: MachineCameras
  private let camera: Camera
  private var eye: Eye?
  private let credentials: RTSPCredentials?
  private let isPersistent: Bool
  private let began: Instant
  private var dump: Int32 = -1
  private var voice: Int32 = -1
  private var source: (any CameraSource)?
  private var openAt: Instant?
  private var workedFrom: Instant?
  private var backoff: Backoff
  private var random: Random

  init(_ reactor: Reactor, _ url: String, _ words: [String: String]) {
    self.reactor = reactor
    camera = Watch.camera(url, words)
    backoff = Backoff(of: camera.source)
    machine = MachineCameras(reactor)
    if words["shows"] != nil { eye = Eye() }
    began = reactor.now
    random = reactor.makeRandom()
    streams = Streams(world: reactor, sessions: TLSSessions(server: nil), judge: nil)
    cameras = RTSPCameras(world: reactor, streams: streams)
    credentials = words["user"].map { RTSPCredentials(user: $0, password: words["password"] ?? "") }
    isPersistent = words["again"] != nil
    if let known = words["known"] { cameras.know(RTSPKnowledge(text: known), of: CameraID("camera")) }
    cameras.decodeAAC()
    func create(_ path: String?) -> Int32 {
      path.map { unsafe Glibc.open($0, O_WRONLY | O_CREAT | O_TRUNC, 0o600) } ?? -1
    }
    dump = create(words["dump"])
    voice = create(words["voice"])
    cameras.whenLearnt = { [weak self] _, known in self?.say("learnt \(known.text)") }
    open()
  }

  private func say(_ text: String) {
    let line = Array("\((reactor.now - began).milliseconds) \(text)\n".utf8)
    _ = unsafe Glibc.write(1, line, line.count)
  }

  private func open() {
    let hear: (SourceNews) -> Void = { [weak self] in self?.hear($0) }
    if case .rtsp(let url) = camera.source {
      source = cameras.open(camera.id, url: url, credentials: credentials, hear: hear)
    } else {
      source = machine.open(camera, hear: hear)
    }
  }

  private func hear(_ news: SourceNews) {
    switch news {
    case .began(let format):
      workedFrom = reactor.now
      say("began \(format.width)x\(format.height) \(format.sound.map { "\($0)" } ?? "silent")")
    case .picture(let unit):
      say("picture \(unit.isKey ? "key" : "more") \(unit.bytes.count) \(unit.timestamp)")
      if let seen = eye?.look(at: unit) { say("shows \(seen)") }
      guard dump >= 0 else { return }
      for range in unit.units {
        let bytes = [0, 0, 0, 1] + unit.bytes[range]
        _ = unsafe Glibc.write(dump, bytes, bytes.count)
      }
    case .sound(let bytes, let samples, _):
      say("sound \(bytes.count) \(samples)")
      if voice >= 0 { _ = unsafe Glibc.write(voice, bytes, bytes.count) }
    case .silent(let fault): say("silent \(fault.kind.rawValue) \(fault.text)")
    case .ended(let fault):
      say("ended \(fault.kind.rawValue) \(fault.text)")
      guard isPersistent else { return reactor.stop() }
      let worked = workedFrom.map { reactor.now - $0 } ?? .zero
      workedFrom = nil
      let pause = backoff.delay(after: fault, worked: worked, random: &random)
      say("pause \(pause.milliseconds)")
      openAt = reactor.now + pause
    }
  }

  // MARK: Resident

  func received(
    _ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint
  ) {
    if cameras.owns(socket) { cameras.received(datagram, on: socket, from: remote) }
  }
  func accepted(_ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?) {}
  func connected(_ stream: SocketID) { streams.connected(stream) }
  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) { streams.received(bytes, onStream: stream) }
  func drained(_ stream: SocketID) { streams.drained(stream) }
  func closed(_ stream: SocketID, _ failure: NetworkFailure) { streams.closed(stream, failure) }
  func signalled(_ signal: Signal) {
    let wasOpen = source != nil
    source?.stop()
    source = nil
    openAt = nil
    if signal == .drain { return reactor.stop() }
    say(wasOpen ? "left" : "back")
    if !wasOpen { open() }
  }
  func advance() {
    streams.advance()
    cameras.advance()
    if let due = openAt, due <= reactor.now {
      openAt = nil
      open()
    }
  }
  func settle() {}
  var nextDeadline: Instant? {
    .earlier(streams.nextDeadline, .earlier(cameras.nextDeadline, openAt))
  }
}
