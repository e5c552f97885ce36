import Cameras
import Capture
import Crypto
import Devices
import Directory
import Doors
import Gateway
import Glibc
import Journal
import Reactor
import Store
import WebRTC
import Wire

/// The daemon: reads its options and files, makes a gateway in the loop's thread, and ends with its status.
@main
struct Program {
  static let version = "0.1.0"

  static func main() {
    let options: Options
    do throws(Options.Fault) {
      options = try Options(Array(CommandLine.arguments.dropFirst()))
    } catch {
      complain(["vestibuled: \(error.sentence)", Options.usage])
      exit(64)
    }
    switch options.task {
    case .help: print(Options.usage)
    case .version: print("vestibuled \(version)")
    case .serve, .check, .releaseLines: exit(run(options))
    }
  }

  private static func run(_ options: Options) -> Int32 {
    let state: String
    switch stateFolder(options) {
    case .success(let folder): state = folder
    case .failure(let failure):
      complain(["vestibuled: cannot make the state directory: \(failure)"])
      return 1
    }
    let reactorOptions = {
      var wanted = Reactor.Options()
      wanted.takesSignals = true
      return wanted
    }()
    while true {
      let service = Service(options: options, state: state)
      if options.task == .check { return service.check() }
      if options.task == .releaseLines { return service.releaseLines() }
      Reactor.run(reactorOptions) { reactor in service.begin(reactor) }
      guard service.restarts else { return service.status }
    }
  }

  private static func stateFolder(_ options: Options) -> Result<String, FileFailure> {
    if options.demo, options.state == nil { return Files.makeTemporaryFolder() }
    let folder =
      options.state ?? environment("STATE_DIRECTORY")?.split(separator: ":").first.map(String.init)
      ?? Options.defaultState
    // Only what serves needs the folder; a check must work without the right to make it.
    guard options.task == .serve else { return .success(folder) }
    if let failure = Files.makeFolder(folder) { return .failure(failure) }
    return .success(folder)
  }

  static func complain(_ lines: [String]) {
    for line in lines {
      let bytes = Array((line + "\n").utf8)
      _ = unsafe write(2, bytes, bytes.count)
    }
  }
}

/// The gateway as a service: it is made, told of everything, watched, and its end becomes the process's status.
final class Service: Resident, GatewayHost {
  private let options: Options
  private let state: String
  private let notifier = ServiceNotifier()
  private var gateway: Gateway?
  private weak var reactor: Reactor?
  private var handshakes: DTLSSessions?
  private var watchdogDue: Instant?
  private(set) var status: Int32 = 0
  /// It ended in order to begin anew.
  private(set) var restarts = false

  init(options: Options, state: String) {
    self.options = options
    self.state = state
  }

  private func machine(_ addresses: [IPAddress]) -> Machine {
    Machine(
      state: state, configurationPath: options.configuration, isDemo: options.demo,
      hostAddresses: addresses)
  }

  func check() -> Int32 {
    switch machine([]).configuration() {
    case .success:
      print("the configuration is good")
      return 0
    case .failure(let fault):
      Program.complain(fault.lines)
      return 78
    }
  }

  /// Drives every configured line to rest: after a crash, before anybody serves again.
  func releaseLines() -> Int32 {
    let database = machine([]).database()
    guard let stored = try? database.load(), let building = stored.directory else { return 0 }
    let failures = Doorkeeper.makeSafe(building.doors, GPIOChips())
    Program.complain(failures.map { "vestibuled: door \($0.door): \($0.failure)" })
    return failures.isEmpty ? 0 : 1
  }

  /// Makes the gateway in the loop's thread. Itself it is the resident, so that the watchdog sees the loop turn.
  func begin(_ reactor: Reactor) -> any Resident {
    self.reactor = reactor
    let machine = machine(reactor.hostAddresses())
    let sessions = RealSessions()
    switch (machine.materials(), machine.deviceKey()) {
    case (.failure(let fault), _):
      Program.complain(fault.lines)
      end(78)
    case (_, .failure(let fault)):
      Program.complain(fault.lines)
      end(1)
    case (.success(let materials), .success(let key)):
      if let complaint = sessions.show(materials) {
        Program.complain(["tls: \(complaint)"])
        end(78)
        break
      }
      let cameras = MachineCameras(reactor)
      handshakes = makeHandshakes(reactor)
      gateway = Gateway(
        world: reactor,
        setting: Setting(
          materials: materials, premises: machine, sessions: sessions, handshakes: handshakes,
          cameras: cameras, transcoders: cameras,
          deviceKey: key,
          processID: Int(getpid()), version: Program.version,
          demo: options.demo ? Building.demo() : nil, acceptsNewDomain: options.acceptNewDomain),
        lines: GPIOChips(), sink: standardSink(), host: self)
    }
    watchdogDue = notifier.watchdogInterval.map { reactor.now + $0 / 2 }
    return self
  }

  /// Keys and a certificate for the media of browsers, new at each start.
  private func makeHandshakes(_ reactor: Reactor) -> DTLSSessions? {
    var random = reactor.makeRandom()
    do throws(TLSFailure) {
      return DTLSSessions(try DTLSContext.make(serial: random.next(), at: reactor.wall))
    } catch {
      Program.complain(["dtls: \(error); browsers get no sound"])
      return nil
    }
  }

  /// Has the protection of media measured, once everything else stands: it costs a few milliseconds.
  private func rankProtection() {
    guard let reactor else { return }
    handshakes?.rank(on: reactor) { work in
      let began = SideThread.now
      work()
      return SideThread.now - began
    } then: { order in
      Log(standardSink(), wall: reactor.wall).write(
        .info, "srtp.order", "protects media by what this CPU does best",
        ["profiles": .text(order.map { "\($0)" }.joined(separator: " "))])
    }
  }

  private func end(_ status: Int32) {
    self.status = status
    reactor?.stop()
  }

  // MARK: GatewayHost

  func gatewayIsReady(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = unsafe write(1, bytes, bytes.count)
    notifier.ready()
    rankProtection()
  }
  func gatewayFailed(_ sentence: String, status: Int32) {
    Program.complain(["vestibuled: \(sentence)"])
    end(status)
  }
  func gatewayStops() { notifier.stopping() }
  func gatewayRestarts() { restarts = true }

  // MARK: Resident

  func received(
    _ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint
  ) { gateway?.received(datagram, on: socket, from: remote, to: local) }
  func accepted(_ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?) {
    gateway?.accepted(stream, on: listener, from: remote, peer: peer)
  }
  func connected(_ stream: SocketID) { gateway?.connected(stream) }
  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {
    gateway?.received(bytes, onStream: stream)
  }
  func drained(_ stream: SocketID) { gateway?.drained(stream) }
  func closed(_ stream: SocketID, _ failure: NetworkFailure) { gateway?.closed(stream, failure) }
  func signalled(_ signal: Signal) { gateway?.signalled(signal) }

  func advance() {
    if let reactor, let due = watchdogDue, due <= reactor.now {
      notifier.alive()
      watchdogDue = notifier.watchdogInterval.map { reactor.now + $0 / 2 }
    }
    gateway?.advance()
  }
  func settle() { gateway?.settle() }
  var nextDeadline: Instant? { .earlier(gateway?.nextDeadline, watchdogDue) }
}
