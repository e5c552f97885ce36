internal import ICE
internal import RTP
internal import SDP
import Simulation
internal import WebRTC
import Wire

/// One look through a camera in a browser: a peer connection that only receives, with a socket of its own.
final class BrowserPicture {
  private let world: SimulatedWorld
  private let connection: PeerConnection
  private let base: Endpoint
  private static let baseSocket = SocketID(Handle(index: 1, generation: 1))
  let socket: SocketID
  private var dice: Random
  /// The other side is gone.
  private(set) var isLost = false
  /// The newest number of a packet, to see that none is missing where nothing was lost.
  private(set) var pictures = 0

  /// Nil where no socket is to be had.
  init?(_ world: SimulatedWorld, tag: UInt8, _ dice: inout Random) {
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
        .full, role: .controlling, bases: [ICEBase(.udp, local: base, socket: BrowserPicture.baseSocket)],
        tag: UInt32(truncatingIfNeeded: self.dice.next())),
      audioSource: UInt32(truncatingIfNeeded: self.dice.next()),
      videoSource: UInt32(truncatingIfNeeded: self.dice.next()), canonicalName: "viewer")
    configuration.takesPictures = true
    connection = PeerConnection(configuration, SimulatedDTLS(number: tag), &turn)
  }

  private func step<Result>(_ body: (PeerConnection, inout Turn) -> Result) -> Result {
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

  func offer() -> [UInt8] {
    let picture = Format(
      payloadType: 102, encoding: "H264", clockRate: 90_000,
      parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
    return step { connection, turn in
      connection.createOffer(
        audio: PeerMedia([Format.pcma], .recvonly), video: PeerMedia([picture], .recvonly), &turn
      ).bytes
    }
  }

  /// False when it is no answer that shows a picture.
  func settle(answer: [UInt8]) -> Bool {
    guard let description = try? SessionDescription(parsing: answer) else { return false }
    let isTaken = step { connection, turn in (try? connection.setRemote(answer: description, &turn)) != nil }
    return isTaken && connection.settled(.video)?.direction == .recvonly
  }

  /// Whether the datagram held a packet of the picture.
  func receive(_ datagram: Span<UInt8>, from remote: Endpoint) -> Bool {
    let flow = Flow(.udp, local: base, remote: remote, socket: BrowserPicture.baseSocket)
    return step { connection, turn in
      var handshakes = 9
      guard
        case .rtp(.video, let length) = connection.receive(datagram, on: flow, &turn, handshakes: &handshakes)
      else { return false }
      pictures += 1
      return length > 12
    }
  }

  func advance() {
    guard let deadline = connection.nextDeadline, deadline <= world.now else { return }
    step { connection, turn in
      var handshakes = 9
      connection.advance(&turn, handshakes: &handshakes)
    }
  }

  var nextDeadline: Instant? { isLost ? nil : connection.nextDeadline }

  func close() {
    step { connection, turn in connection.close(&turn) }
    world.after(.milliseconds(1)) { [world, socket] in world.close(socket, flushing: false) }
  }
}
