internal import ICE
internal import SDP
import Simulation
internal import WebRTC
import Wire

/// The sound of one call in a browser.
final class BrowserSound: BrowserPeer {
  /// Number of the keys that we send.
  private(set) var keyType: UInt8?
  /// The other end listens only when it is not us who may talk.
  private(set) var maySpeak = true
  private static let keyNumber: UInt8 = 126

  /// Nil where no socket is to be had.
  init?(_ world: SimulatedWorld, source: UInt32, tag: UInt8, _ dice: inout Random) {
    super.init(world, named: "browser", tag: tag, &dice) { configuration, _ in
      configuration.audioSource = source
      configuration.videoSource = source &+ 1
    }
  }

  // MARK: Descriptions

  private static let formats = [Format.pcma, Format.telephoneEvent(keyNumber)]

  func offer(isOnHold: Bool = false) -> [UInt8] {
    step { connection, turn in
      connection.createOffer(
        audio: PeerMedia(BrowserSound.formats, isOnHold ? .sendonly : .sendrecv), video: nil, &turn
      ).bytes
    }
  }

  /// False when it makes no sense to a browser.
  func take(offer: [UInt8]) -> Bool {
    guard let description = try? SessionDescription(parsing: offer) else { return false }
    return step { connection, _ in (try? connection.setRemote(offer: description)) != nil }
  }

  /// Nil when nothing in the offer can be spoken.
  func answer() -> [UInt8]? {
    let bytes = step { connection, turn -> [UInt8]? in
      guard let offered = connection.offered(.audio) else { return nil }
      let known = offered.formats.filter { format in
        BrowserSound.formats.contains {
          $0.encoding.lowercased() == format.encoding.lowercased() && $0.clockRate == format.clockRate
        }
      }
      return (try? connection.createAnswer(audio: PeerMedia(known, offered.direction), video: nil, &turn))?
        .bytes
    }
    note()
    return bytes
  }

  override func settle(answer: [UInt8]) -> Bool {
    let isTaken = super.settle(answer: answer)
    note()
    return isTaken
  }

  func withdraw() { step { connection, _ in connection.withdraw() } }

  private func note() {
    guard let stream = connection.settled(.audio) else { return }
    keyType = stream.telephoneEvent
    maySpeak = stream.direction.sends
  }

  /// Whether this is the number that keys come with.
  func isKey(_ type: UInt8) -> Bool {
    connection.receiving(.audio).contains { $0.payloadType == type && $0.audioCodec == .telephoneEvent }
  }

  // MARK: Networks

  /// Another network: it asks for new paths (RFC 8840 section 4.4). The fragment for a PATCH.
  func restart() -> [UInt8] {
    move()
    return step { connection, turn in
      let offer = connection.createOffer(
        audio: PeerMedia(BrowserSound.formats, .sendrecv), video: nil, &turn, restart: true)
      var fragment = TrickleFragment()
      fragment.session.fragment = connection.localCredentials.fragmentText
      fragment.session.password = connection.localCredentials.passwordText
      fragment.sections = [
        TrickleFragment.Section(
          media: "audio 9 UDP/TLS/RTP/SAVPF 0",
          mid: offer.media.first?.attributes.first { $0.name == "mid" }?.value)
      ]
      return fragment.bytes
    }
  }

  /// Takes what the gateway answered to the PATCH. False when it is no such thing.
  func settle(fragment: [UInt8]) -> Bool {
    guard let fragment = TrickleFragment(parsing: fragment), let credentials = fragment.credentials,
      var answer = connection.remoteDescription
    else { return false }
    for place in answer.media.indices {
      answer.media[place].attributes.removeAll { ["ice-ufrag", "ice-pwd", "candidate"].contains($0.name) }
      guard answer.media[place].port != 0 else { continue }
      answer.media[place].attributes += [
        Attribute("ice-ufrag", credentials.fragmentText), Attribute("ice-pwd", credentials.passwordText),
      ]
      answer.media[place].attributes += fragment.candidates.map {
        Attribute("candidate", String($0.line.dropFirst("candidate:".count)))
      }
    }
    return step { connection, turn in (try? connection.setRemote(answer: answer, &turn)) != nil }
  }

  // MARK: Packets

  /// The packet in the clear, when the datagram held one of sound.
  func receive(_ datagram: Span<UInt8>, from remote: Endpoint) -> [UInt8]? {
    guard case .rtp(.audio, let length) = read(datagram, from: remote) else { return nil }
    return Array(connection.plain[0..<length])
  }

  /// The datagram that left, if there is a way and there are keys.
  @discardableResult
  func say(_ packet: [UInt8]) -> [UInt8]? {
    step { connection, turn in
      var room = [UInt8](repeating: 0, count: packet.count + 64)
      var span = room.mutableSpan
      let length = connection.protect(
        packet.span.extracting(0..<12), packet.span.extracting(12..<packet.count), into: &span)
      guard length > 0, connection.send(room.span.extracting(0..<length), &turn) else { return nil }
      return Array(room[0..<length])
    }
  }
}
