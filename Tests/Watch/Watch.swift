// The gateway's network cameras by themselves: opens one and says line by line what it tells, with the milliseconds since
// the beginning.
//
//   Watch url=rtsp://… [user=… password=…] [known="datagrams -"] [dump=FILE] [again=yes]
//
// `dump` takes the pictures as a byte stream that any decoder reads; `again` opens it anew after it ended, as the
// gateway does. It runs until it is told to stop (SIGTERM), or until the camera ends.
import Cameras
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
      print("usage: Watch url=rtsp://… [user=… password=…] [known=…] [dump=FILE] [again=yes]")
      exit(64)
    }
    var options = Reactor.Options()
    options.takesSignals = true
    Reactor.run(options) { WatchResident($0, url, words) }
  }
}

final class WatchResident: Resident {
  private let reactor: Reactor
  private let streams: Streams
  private let cameras: RTSPCameras
  private let url: String
  private let credentials: RTSPCredentials?
  private let isPersistent: Bool
  private let began: Instant
  private var dump: Int32 = -1
  private var source: (any CameraSource)?
  private var openAt: Instant?
  private var workedFrom: Instant?
  private var backoff = Backoff()
  private var random: Random

  init(_ reactor: Reactor, _ url: String, _ words: [String: String]) {
    self.reactor = reactor
    self.url = url
    began = reactor.now
    random = reactor.makeRandom()
    streams = Streams(world: reactor, sessions: TLSSessions(server: nil), judge: nil)
    cameras = RTSPCameras(world: reactor, streams: streams)
    credentials = words["user"].map { RTSPCredentials(user: $0, password: words["password"] ?? "") }
    isPersistent = words["again"] != nil
    if let known = words["known"] { cameras.know(RTSPKnowledge(text: known), of: CameraID("camera")) }
    if let path = words["dump"] { dump = unsafe Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600) }
    cameras.whenLearnt = { [weak self] _, known in self?.say("learnt \(known.text)") }
    open()
  }

  private func say(_ text: String) {
    let line = Array("\((reactor.now - began).milliseconds) \(text)\n".utf8)
    _ = unsafe Glibc.write(1, line, line.count)
  }

  private func open() {
    source = cameras.open(CameraID("camera"), url: url, credentials: credentials) { [weak self] in
      self?.hear($0)
    }
  }

  private func hear(_ news: SourceNews) {
    switch news {
    case .began(let format):
      workedFrom = reactor.now
      say("began \(format.width)x\(format.height) \(format.sound.map { "\($0)" } ?? "silent")")
    case .picture(let unit):
      say("picture \(unit.isKey ? "key" : "more") \(unit.bytes.count) \(unit.timestamp)")
      guard dump >= 0 else { return }
      for range in unit.units {
        let bytes = [0, 0, 0, 1] + unit.bytes[range]
        _ = unsafe Glibc.write(dump, bytes, bytes.count)
      }
    case .sound(let bytes, let samples, _): say("sound \(bytes.count) \(samples)")
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
    source?.stop()
    reactor.stop()
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
    var first: Instant?
    for deadline in [streams.nextDeadline, cameras.nextDeadline, openAt] {
      guard let deadline else { continue }
      first = first.map { min($0, deadline) } ?? deadline
    }
    return first
  }
}
