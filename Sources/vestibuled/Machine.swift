import Crypto
import Gateway
import Glibc
import JSON
import Reactor
import Store
import Transport
import Wire

/// The machine this daemon runs on: where its files lie, and what they hold.
// Immutable but for nothing: every member is a constant, so threads may share it.
final class Machine: Premises {
  let state: String
  let configurationPath: String?
  let isDemo: Bool
  let hostAddresses: [IPAddress]

  init(state: String, configurationPath: String?, isDemo: Bool, hostAddresses: [IPAddress]) {
    self.state = state
    self.configurationPath = configurationPath
    self.isDemo = isDemo
    self.hostAddresses = hostAddresses
  }

  // MARK: Materials

  func materials() -> Result<Materials, MaterialsFault> {
    switch configuration() {
    case .failure(let fault): return .failure(fault)
    case .success(let configuration):
      switch certificate(configuration) {
      case .failure(let fault): return .failure(fault)
      case .success(let pair):
        return .success(
          Materials(configuration: configuration, certificatePEM: pair.certificate, keyPEM: pair.key))
      }
    }
  }

  /// What the configuration file says; every fault of it with its place.
  func configuration() -> Result<Configuration, MaterialsFault> {
    var result = Configuration()
    if isDemo { result.controlSocket = state + "/control.sock" }
    let path = configurationPath ?? Options.defaultConfiguration
    if configurationPath == nil, isDemo { return .success(result) }
    switch Files.read(path) {
    case .failure(let failure) where failure.isMissing && configurationPath == nil: return .success(result)
    case .failure(let failure): return .failure(MaterialsFault(["\(failure)"]))
    case .success(let bytes):
      let report = JSONReport(file: path)
      result = Configuration(parsing: bytes, report: report)
      guard report.errors.isEmpty else {
        return .failure(MaterialsFault(report.sortedErrors.map { "\($0)" }))
      }
      if isDemo, result.controlSocket == Configuration.defaultControlSocket {
        result.controlSocket = state + "/control.sock"
      }
      return .success(result)
    }
  }

  private func certificate(
    _ configuration: Configuration
  ) -> Result<(certificate: [UInt8], key: [UInt8]), MaterialsFault> {
    if let certificate = configuration.tls.certificate, let key = configuration.tls.key {
      switch (Files.read(certificate), Files.read(key)) {
      case (.success(let certificate), .success(let key)): return .success((certificate, key))
      case (.failure(let failure), _), (_, .failure(let failure)):
        return .failure(MaterialsFault(["tls: \(failure)"]))
      }
    }
    let paths = (state + "/certificate.pem", state + "/key.pem")
    if case .success(let certificate) = Files.read(paths.0), case .success(let key) = Files.read(paths.1) {
      return .success((certificate, key))
    }
    var seed: UInt64 = 0
    unsafe getentropy(&seed, 8)
    let now = WallTime(seconds: Int64(time(nil)))
    do throws(TLSFailure) {
      let made = try SelfSigned.make(
        names: [configuration.gateway.domain, "localhost"], addresses: hostAddresses, serial: seed,
        from: WallTime(seconds: 0), to: now + .hours(24 * 3650))
      for (bytes, path) in [(made.certificatePEM, paths.0), (made.keyPEM, paths.1)] {
        if let failure = Files.write(bytes, to: path) { return .failure(MaterialsFault(["tls: \(failure)"])) }
      }
      return .success((made.certificatePEM, made.keyPEM))
    } catch { return .failure(MaterialsFault(["tls: \(error)"])) }
  }

  /// The key that wraps every secret in the store: from the service manager, else a file made at first start.
  func deviceKey() -> Result<[UInt8], MaterialsFault> {
    if let folder = environment("CREDENTIALS_DIRECTORY"),
      case .success(let bytes) = Files.read(folder + "/device-key")
    {
      if let key = Machine.key(bytes) { return .success(key) }
      return .failure(
        MaterialsFault([
          "the credential device-key: expected 32 bytes, or 64 hexadecimal digits; found \(bytes.count) bytes"
        ]))
    }
    let path = state + "/device-key"
    switch Files.read(path) {
    case .success(let bytes):
      if let key = Machine.key(bytes) { return .success(key) }
      return .failure(
        MaterialsFault([
          "\(path): expected 64 hexadecimal digits; without the right key no secret can be read"
        ]))
    case .failure(let failure) where failure.isMissing:
      var key = [UInt8](repeating: 0, count: 32)
      guard unsafe getentropy(&key, 32) == 0 else { return .failure(MaterialsFault(["no randomness"])) }
      let digits = Array(ASCII.hex(key).utf8) + [10]
      if let failure = Files.write(digits, to: path) { return .failure(MaterialsFault(["\(failure)"])) }
      return .success(key)
    case .failure(let failure): return .failure(MaterialsFault(["\(failure)"]))
    }
  }

  private static func key(_ bytes: [UInt8]) -> [UInt8]? {
    if bytes.count == 32 { return bytes }
    let digits = bytes.filter { $0 > 32 }
    return digits.count == 64 ? ASCII.bytes(hex: digits) : nil
  }

  private var store: String { state + "/vestibule.sqlite" }
  private var laid: String { state + "/vestibule.restored" }

  func database() -> Database {
    takeRestored()
    return Database.openOrInMemory(path: store)
  }

  /// A copy that was laid ready becomes the store, and the store before it stays beside it. A crash in between leaves
  /// the copy where it lies, and the next start goes on.
  private func takeRestored() {
    guard Files.exists(laid) else { return }
    // The log belongs to its file: where it stayed, it would be written into the other one.
    for end in ["-wal", "-shm", ""] { Files.move(store + end, to: store + ".before-restore" + end) }
    Files.move(laid, to: store)
  }

  func copy(of database: Database) -> Result<[UInt8], MachineFault> {
    let path = state + "/vestibule.backup"
    Files.remove(path)
    defer { Files.remove(path) }
    do throws(StoreFailure) { try database.backup(to: path) } catch {
      return .failure(MachineFault("\(error)"))
    }
    return Files.read(path, limit: 1 << 30).mapError { MachineFault("\($0)") }
  }

  func inspect(copy: [UInt8]) -> Result<StoredState, MachineFault> {
    let path = state + "/vestibule.inspected"
    func clear() { for end in ["", "-wal", "-shm"] { Files.remove(path + end) } }
    clear()
    defer { clear() }
    if let failure = Files.write(copy, to: path) { return .failure(MachineFault("\(failure)")) }
    do throws(StoreFailure) {
      let database = try Database(path: path)
      if let fault = try database.integrityFault() { return .failure(MachineFault(fault)) }
      if let row = try database.brokenAuditRow(hash: { Digest.sha256($0) }) {
        return .failure(MachineFault("the audit's chain breaks at row \(row)"))
      }
      return .success(try database.load())
    } catch { return .failure(MachineFault("\(error)")) }
  }

  func lay(copy: [UInt8]) -> MachineFault? {
    Files.write(copy, to: laid).map { MachineFault("\($0)") }
  }

  // MARK: Snapshots

  private var album: String { state + "/snapshots" }
  /// What must stay free: the store comes before pictures.
  private static let spare: Int64 = 64 << 20

  func keep(snapshot: [UInt8], named name: String) -> MachineFault? {
    if let disk = disk(), disk.free < Machine.spare + Int64(snapshot.count) {
      return MachineFault("the disk is full: \(disk.free >> 20) MB are left")
    }
    if let failure = Files.makeFolder(album) ?? Files.write(snapshot, to: album + "/" + name) {
      return MachineFault("\(failure)")
    }
    return nil
  }

  func snapshot(named name: String) -> [UInt8]? {
    if case .success(let bytes) = Files.read(album + "/" + name) { bytes } else { nil }
  }

  func snapshots() -> [KeptSnapshot] {
    Files.list(album).compactMap { KeptSnapshot(name: $0.name, bytes: $0.bytes) }
  }

  func forget(snapshot name: String) { Files.remove(album + "/" + name) }

  // MARK: The machine itself

  func disk() -> (free: Int64, total: Int64)? {
    var figures = statvfs()
    guard unsafe statvfs(state, &figures) == 0 else { return nil }
    let block = Int64(figures.f_frsize)
    return (Int64(figures.f_bavail) * block, Int64(figures.f_blocks) * block)
  }

  func checks() -> [MachineCheck] {
    var found: [MachineCheck] = []
    if let disk = disk() {
      found.append(
        MachineCheck(
          name: "disk", isWell: disk.free > 64 << 20, detail: "\(disk.free >> 20) MB free in \(state)",
          fix: "make room: calls go on, but nothing new can be kept"))
    }
    found.append(strictLines)
    return found
  }

  /// Raspberry Pi kernels keep an output as it was when its owner dies, unless told otherwise.
  private var strictLines: MachineCheck {
    guard case .success(let model) = Files.read("/proc/device-tree/model"),
      String(decoding: model, as: UTF8.self).contains("Raspberry Pi")
    else {
      return MachineCheck(
        name: "strict_gpiod", isWell: true,
        detail: "not a Raspberry Pi: a line falls back when its owner ends")
    }
    for path in ["/boot/firmware/config.txt", "/boot/config.txt"] {
      if case .success(let text) = Files.read(path) {
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
        if lines.contains(where: { $0.hasPrefix("dtparam=strict_gpiod") }) {
          return MachineCheck(name: "strict_gpiod", isWell: true, detail: "set in \(path)")
        }
      }
    }
    return MachineCheck(
      name: "strict_gpiod", isWell: false,
      detail: "a relay could stay on should the daemon die in mid-pulse, until it starts again",
      fix: "add the line dtparam=strict_gpiod to /boot/firmware/config.txt and reboot")
  }
}

/// The real TLS sessions, shown whatever certificate the materials hold.
final class RealSessions: SessionSource {
  private let sessions: TLSSessions

  init() { sessions = TLSSessions(server: nil) }

  func show(_ materials: Materials) -> String? {
    do throws(TLSFailure) {
      sessions.reload(
        try TLSContext(serverCertificatePEM: materials.certificatePEM, keyPEM: materials.keyPEM))
      return nil
    } catch { return "\(error)" }
  }

  func accept() -> (any SecureSession)? { sessions.accept() }
  func connect(
    serverName: String?, trust: TLSTrust, at time: WallTime
  ) throws(TLSFailure) -> any SecureSession {
    try sessions.connect(serverName: serverName, trust: trust, at: time)
  }
}
