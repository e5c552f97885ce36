internal import ICE
internal import RTP
internal import SDP
import Simulation
internal import WebRTC
import Wire

/// One look through a camera in a browser: a peer connection that only receives.
final class BrowserPicture: BrowserPeer {
  /// Packets of the picture so far.
  private(set) var pictures = 0

  /// Nil where no socket is to be had.
  init?(_ world: SimulatedWorld, tag: UInt8, _ dice: inout Random) {
    super.init(world, named: "viewer", tag: tag, &dice) { configuration, dice in
      configuration.audioSource = UInt32(truncatingIfNeeded: dice.next())
      configuration.videoSource = UInt32(truncatingIfNeeded: dice.next())
      configuration.takesPictures = true
    }
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
  override func settle(answer: [UInt8]) -> Bool {
    super.settle(answer: answer) && connection.settled(.video)?.direction == .recvonly
  }

  /// Whether the datagram held a packet of the picture.
  func receive(_ datagram: Span<UInt8>, from remote: Endpoint) -> Bool {
    guard case .rtp(.video, let length) = read(datagram, from: remote) else { return false }
    pictures += 1
    return length > 12
  }
}
