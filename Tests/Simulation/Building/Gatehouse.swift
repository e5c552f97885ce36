internal import Crypto
import Devices
internal import Directory
internal import Gateway
internal import Journal
import Simulation
internal import Store
import Synchronization
import Transport
import Wire

/// The machine that the gateway runs on, over all its lives: its disk, its relay lines, its certificate, and the
/// process that is started again when it dies.
final class Gatehouse {
  let host: SimulatedHost
  let chip = SimulatedChip()
  let ledger: Ledger
  private let network: SimulatedNetwork
  private(set) var disk: SimulatedDisk
  private var random: Random
  private let seed: UInt64
  private(set) var gateway: Gateway?
  private(set) var world: SimulatedWorld?
  private(set) var cameras: SimulatedCameras?
  /// When this life began to serve.
  private(set) var readySince: Instant?
  private(set) var starts = 0
  private let sink: Inspector
  private let herald = Herald()
  static let socket = "/run/vestibule/control.sock"
  static let file = "/var/lib/vestibule/vestibule.sqlite"
  private static let key = Array(repeating: UInt8(7), count: 32)
  private static let disks = Atomic<Int>(0)

  init(_ network: SimulatedNetwork, seed: UInt64, _ ledger: Ledger) {
    self.network = network
    self.seed = seed
    self.ledger = ledger
    random = Random(seed: seed ^ 0x6761_7465)
    host = network.addHost("gateway", [Building.gateway])
    host.laneLatency = (.microseconds(200), .milliseconds(8))
    disk = Gatehouse.makeDisk(seed, [:])
    sink = Inspector(ledger)
    herald.whenReady = { [weak self] in
      guard let self else { return }
      self.readySince = self.network.now
    }
    herald.whenFailed = { [weak self] sentence in self?.ledger.breach("it starts", sentence) }
  }

  private static func makeDisk(_ seed: UInt64, _ image: SimulatedDisk.Image) -> SimulatedDisk {
    let number = disks.wrappingAdd(1, ordering: .relaxed).newValue
    return SimulatedDisk(name: "building-\(number)", seed: seed, image: image)
  }

  /// Whether a door stands open because of us.
  var isPulsing: Bool { isUp && chip.anyActive }
  var isUp: Bool { world?.isAlive == true && readySince != nil }

  func start() {
    guard world?.isAlive != true else { return }
    starts += 1
    readySince = nil
    let premises = Machine(disk)
    let sessions = Certificates()
    var configuration = Configuration()
    configuration.controlSocket = Gatehouse.socket
    let materials = Materials(configuration: configuration, certificatePEM: [1], keyPEM: [1])
    premises.reading = materials
    _ = sessions.show(materials)
    let started = host.start { world in
      let cameras = SimulatedCameras(world)
      self.cameras = cameras
      return Gateway(
        world: world,
        setting: Setting(
          materials: materials, premises: premises, sessions: sessions,
          handshakes: SimulatedDTLS(number: 200), cameras: cameras,
          deviceKey: Gatehouse.key, processID: 100 + starts, version: "0.0.0"), lines: chip, sink: sink,
        host: herald)
    }
    world = started.world
    gateway = started.resident
  }

  /// The process or the whole machine dies; what the disk keeps is ready for the next start.
  func crash(_ kind: SimulatedWorld.Crash) {
    guard let world, world.isAlive else { return }
    ledger.count(kind == .power ? "power lost" : "killed")
    let image = kind == .power ? disk.survivors(&random) : disk.writtenImage
    // A Raspberry Pi's kernel keeps an output as its dead holder left it; a power loss drops every relay.
    chip.loseHolder()
    if kind == .power { chip.dropAll() }
    world.crash(kind)
    self.world = nil
    gateway = nil
    cameras = nil
    readySince = nil
    disk = Gatehouse.makeDisk(seed &+ UInt64(starts), image)
    inspectDisk()
  }

  /// Sent SIGTERM: it drains and stops.
  func drain() { world?.signal(.drain) }
  func reload() { world?.signal(.reload) }
  var hasStopped: Bool { world?.hasStopped ?? false }

  /// After a stop in good order.
  func leave() {
    guard hasStopped else { return }
    let image = disk.writtenImage
    world = nil
    gateway = nil
    cameras = nil
    readySince = nil
    disk = Gatehouse.makeDisk(seed &+ UInt64(starts), image)
  }

  func inspectDisk() {
    let image = disk.writtenImage
    for name in image.keys.sorted() { ledger.inspect(file: image[name]!, in: "the disk, \(name)") }
  }

  // MARK: What is on the disk

  /// What the next start will find, read on a copy.
  struct Kept {
    var directory: String?
    var credentials: [String: Int] = [:]
    var quiet: Set<String> = []
    var bans: Set<String> = []
    var calls: Set<String> = []
    var enrolments: [String: Int] = [:]
    var fault: String?
  }

  func readDisk() -> Kept {
    let copy = Gatehouse.makeDisk(seed, disk.writtenImage)
    var kept = Kept()
    do throws(StoreFailure) {
      let database = try Database(path: Gatehouse.file, vfs: copy.name)
      let state = try database.load()
      kept.directory = state.directory?.site.name
      for row in state.credentials { kept.credentials[row.username, default: 0] += 1 }
      kept.quiet = Set(state.quietAccounts.map(\.rawValue) + state.quietUnits.map(\.rawValue))
      kept.bans = Set(state.bans.map { "\($0.address)" })
      let rows = try database.audit(from: 1, limit: 100_000)
      for row in rows where row.action == "credential.add" { kept.enrolments[row.subject, default: 0] += 1 }
      if let broken = try database.brokenAuditRow(hash: { Digest.sha256($0) }) {
        kept.fault = "the audit's chain breaks at \(broken)"
      }
      if let fault = try database.integrityFault() { kept.fault = "integrity: \(fault)" }
      kept.calls = Set(try database.calls(limit: 10_000).map(\.id))
    } catch { kept.fault = "\(error)" }
    return kept
  }

  /// Calls whose end was logged, with when.
  var endedCalls: [(id: String, at: Instant)] { sink.endedCalls }
  /// Addresses that were banned, with when.
  var bans: [(address: String, at: Instant)] { sink.bans }

  /// Reads every record for secrets and keeps what the checks want.
  private final class Inspector: LogSink {
    let ledger: Ledger
    var endedCalls: [(id: String, at: Instant)] = []
    var bans: [(address: String, at: Instant)] = []
    init(_ ledger: Ledger) { self.ledger = ledger }

    private func inspect(_ text: String, _ event: String) {
      if text.utf8.count >= 32 { ledger.inspect(early: Array(text.utf8), in: "the log, \(event)") }
    }

    func write(_ record: borrowing Record, at wall: WallTime) {
      let event = record.event
      inspect(record.message, event)
      for field in record.fields {
        let text = field.value.description
        inspect(text, event)
        if event == "call.ended", field.name == "call" { endedCalls.append((text, ledger.now)) }
        if event == "ban.set", field.name == "address" { bans.append((text, ledger.now)) }
      }
      if record.level <= .error { ledger.count("log \(event)") }
    }
  }

  private final class Herald: GatewayHost {
    var whenReady: (() -> Void)?
    var whenFailed: ((String) -> Void)?
    func gatewayIsReady(_ line: String) { whenReady?() }
    func gatewayFailed(_ sentence: String, status: Int32) { whenFailed?(sentence) }
    func gatewayStops() {}
    func gatewayRestarts() {}
  }

  /// Used by one thread, the simulation's; workers are virtual.
  private final class Machine: Premises, @unchecked Sendable {
    let files: SimulatedDisk
    var reading: Materials?
    init(_ files: SimulatedDisk) { self.files = files }

    func materials() -> Result<Materials, MaterialsFault> {
      reading.map { .success($0) } ?? .failure(MaterialsFault(["none"]))
    }
    func database() -> Database { Database.openOrInMemory(path: Gatehouse.file, vfs: files.name) }
    func copy(of database: Database) -> Result<[UInt8], MachineFault> { .failure(MachineFault("not here")) }
    func inspect(copy: [UInt8]) -> Result<StoredState, MachineFault> { .failure(MachineFault("not here")) }
    func lay(copy: [UInt8]) -> MachineFault? { MachineFault("not here") }
    func disk() -> (free: Int64, total: Int64)? { (1 << 30, 1 << 34) }
    func checks() -> [MachineCheck] { [] }
    func keep(snapshot: [UInt8], named: String) -> MachineFault? { MachineFault("not here") }
    func snapshot(named: String) -> [UInt8]? { nil }
    func snapshots() -> [KeptSnapshot] { [] }
    func forget(snapshot: String) {}
  }

  private final class Certificates: SessionSource {
    private let sessions = SimulatedSessions(identity: nil)
    func show(_ materials: Materials) -> String? {
      sessions.identity = SimulatedSessions.Identity(names: [Building.domain], number: 3)
      return nil
    }
    func accept() -> (any SecureSession)? { sessions.accept() }
    func connect(
      serverName: String?, trust: TLSTrust, at time: WallTime
    ) throws(TLSFailure) -> any SecureSession {
      try sessions.connect(serverName: serverName, trust: trust, at: time)
    }
  }
}
