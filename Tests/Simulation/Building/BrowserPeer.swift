internal import ICE
internal import SDP
import Simulation
internal import WebRTC
import Wire

/// What a browser has for one call or one look: a peer connection with a socket of its own, full ICE, and the keys of
/// a simulated handshake. It is the gateway's own room from the other side; that real browsers agree with it is shown
/// with real browsers.
class BrowserPeer {
  private let world: SimulatedWorld
  final let connection: PeerConnection
  /// What the connection believes its address to be.
  private let base: Endpoint
  private static let baseSocket = SocketID(Handle(index: 1, generation: 1))
  private(set) final var socket: SocketID
  private var dice: Random
  /// The other side is gone: told once.
  private(set) final var isLost = false

  /// Nil where no socket is to be had.
  init?(
    _ world: SimulatedWorld, named name: String, tag: UInt8, _ dice: inout Random,
    _ change: (inout PeerConfiguration, inout Random) -> Void
  ) {
    guard let socket = try? world.openDatagram(Endpoint(world.addresses[0], port: 0), DatagramOptions()),
      let base = world.local(of: socket)
    else { return nil }
    self.world = world
    self.socket = socket
    self.base = base
    self.dice = dice.fork()
    var turn = Turn(now: world.now, random: self.dice.fork())
    var configuration = PeerConfiguration(
      ice: ICEConfiguration(
        .full, role: .controlling, bases: [ICEBase(.udp, local: base, socket: BrowserPeer.baseSocket)],
        tag: UInt32(truncatingIfNeeded: self.dice.next())),
      audioSource: 0, videoSource: 0, canonicalName: name)
    change(&configuration, &self.dice)
    connection = PeerConnection(configuration, SimulatedDTLS(number: tag), &turn)
  }

  @discardableResult final func step<Result>(_ body: (PeerConnection, inout Turn) -> Result) -> Result {
    var turn = Turn(now: world.now, random: dice.fork())
    let result = body(connection, &turn)
    for entry in turn.out.entries {
      world.send(turn.out.bytes[entry.range].span, on: socket, to: entry.flow.remote, from: nil)
    }
    while let event = connection.next() {
      switch event {
      case .failed, .closed: isLost = true
      default: break
      }
    }
    return result
  }

  /// False when it is no answer to what was offered.
  func settle(answer: [UInt8]) -> Bool {
    guard let description = try? SessionDescription(parsing: answer) else { return false }
    return step { connection, turn in (try? connection.setRemote(answer: description, &turn)) != nil }
  }

  /// The network gives it another port, and tells nobody: what a translator does that forgets.
  final func move() {
    guard let other = try? world.openDatagram(Endpoint(world.addresses[0], port: 0), DatagramOptions()) else {
      return
    }
    world.close(socket, flushing: false)
    socket = other
  }

  /// What the datagram was; a packet lies opened in the connection.
  final func read(_ datagram: Span<UInt8>, from remote: Endpoint) -> PeerReading {
    let flow = Flow(.udp, local: base, remote: remote, socket: BrowserPeer.baseSocket)
    return step { connection, turn in
      var handshakes = 9
      return connection.receive(datagram, on: flow, &turn, handshakes: &handshakes)
    }
  }

  final func advance() {
    guard let deadline = connection.nextDeadline, deadline <= world.now else { return }
    step { connection, turn in
      var handshakes = 9
      connection.advance(&turn, handshakes: &handshakes)
    }
  }

  final var nextDeadline: Instant? { isLost ? nil : connection.nextDeadline }

  final func close() {
    step { connection, turn in connection.close(&turn) }
    // The goodbye leaves at the end of this turn.
    world.after(.milliseconds(1)) { [world, socket] in world.close(socket, flushing: false) }
  }
}
