package import Cameras
package import Directory
package import Store
package import Transport
package import WebRTC

/// What the gateway reads from its machine when it starts and when it is told to look again.
package struct Materials: Sendable {
  package var configuration: Configuration
  /// PEM; empty when there is none, and then nothing is served over TLS.
  package var certificatePEM: [UInt8]
  package var keyPEM: [UInt8]

  package init(configuration: Configuration, certificatePEM: [UInt8], keyPEM: [UInt8]) {
    self.configuration = configuration
    self.certificatePEM = certificatePEM
    self.keyPEM = keyPEM
  }
}

/// Why the materials cannot be used, as lines for people; nothing has changed then.
package struct MaterialsFault: Error, Sendable {
  package var lines: [String]
  package init(_ lines: [String]) { self.lines = lines }
}

/// The machine's disk, as the gateway needs it. Called on workers only.
package protocol Premises: AnyObject, Sendable {
  /// Reads configuration and certificates again.
  func materials() -> Result<Materials, MaterialsFault>
  /// Opens the database, or one in memory when it cannot be had.
  func database() -> Database
  /// A consistent copy of what `database` holds, as one file. On the store's lane.
  func copy(of database: Database) -> Result<[UInt8], MachineFault>
  /// Reads what a copy holds and changes nothing; in words what is wrong with it.
  func inspect(copy: [UInt8]) -> Result<StoredState, MachineFault>
  /// Lays a copy where `database()` of the next start takes it for the store; the one before stays beside it.
  func lay(copy: [UInt8]) -> MachineFault?
  /// Free and total bytes where the state lies; nil when nobody knows.
  func disk() -> (free: Int64, total: Int64)?
  /// Keeps a snapshot; in words why not.
  func keep(snapshot: [UInt8], named: String) -> MachineFault?
  /// Nil when it is not there.
  func snapshot(named: String) -> [UInt8]?
  /// Those that are kept.
  func snapshots() -> [KeptSnapshot]
  func forget(snapshot: String)
  /// Things of the machine that only it can tell: each a name, whether it is well, words, and what to do.
  func checks() -> [MachineCheck]
}

/// Something that the machine would not do, in words.
package struct MachineFault: Error, Hashable, Sendable, CustomStringConvertible {
  package var description: String
  package init(_ description: String) { self.description = description }
}

/// One finding about the machine.
package struct MachineCheck: Sendable {
  package var name: String
  package var isWell: Bool
  package var detail: String
  package var fix: String?

  package init(name: String, isWell: Bool, detail: String, fix: String? = nil) {
    self.name = name
    self.isWell = isWell
    self.detail = detail
    self.fix = fix
  }
}

/// Makes TLS sessions and takes a new certificate for those to come.
package protocol SessionSource: SessionMaker {
  /// Shows what `materials` hold from now on; in words why not.
  func show(_ materials: Materials) -> String?
}

/// Whoever runs the gateway hears how it fares.
package protocol GatewayHost: AnyObject {
  /// Everything listens; the line for standard output.
  func gatewayIsReady(_ line: String)
  /// It cannot serve; the process should end with this status.
  func gatewayFailed(_ sentence: String, status: Int32)
  /// It has begun to stop.
  func gatewayStops()
  /// It has begun to stop in order to begin anew: whoever runs it makes another when it has.
  func gatewayRestarts()
}

/// What a gateway is made with.
package struct Setting {
  package var materials: Materials
  package var premises: any Premises
  package var sessions: any SessionSource
  /// Makes the handshakes of peer connections; nil where none can be had: browsers then get no media.
  package var handshakes: (any DTLSMaker)?
  /// Opens the cameras of this machine; nil where it has none.
  package var cameras: (any LocalCameras)?
  /// Turns pictures into what more browsers read; nil where nothing can.
  package var transcoders: (any Transcoders)?
  /// 32 bytes that wrap everything secret in the store.
  package var deviceKey: [UInt8]
  package var processID: Int
  package var version: String
  /// Served until a directory is applied.
  package var demo: Building?
  package var acceptsNewDomain: Bool

  package init(
    materials: Materials, premises: any Premises, sessions: any SessionSource,
    handshakes: (any DTLSMaker)? = nil, cameras: (any LocalCameras)? = nil,
    transcoders: (any Transcoders)? = nil, deviceKey: [UInt8],
    processID: Int, version: String, demo: Building? = nil, acceptsNewDomain: Bool = false
  ) {
    self.materials = materials
    self.premises = premises
    self.sessions = sessions
    self.handshakes = handshakes
    self.cameras = cameras
    self.transcoders = transcoders
    self.deviceKey = deviceKey
    self.processID = processID
    self.version = version
    self.demo = demo
    self.acceptsNewDomain = acceptsNewDomain
  }
}
