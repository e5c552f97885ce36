import ICE
import RTP
import SDP
import WebRTC
import Wire

/// Somebody who watches: takes every packet in, tells when the first picture could be decoded, and how long each took
/// from the camera to its last packet here.
final class LoadViewer {
  let peer: LoadPeer
  private let camera: CannedCamera
  /// When the request that asks for the picture left.
  var began = Instant(nanoseconds: 0)
  /// Milliseconds from there to a whole key picture, with its parameter sets; nil before.
  private(set) var firstPicture: Double?
  /// Milliseconds, while `measures`.
  private(set) var latencies: [Double] = []
  var measures = false
  private(set) var whole = 0
  private(set) var torn = 0

  private var next: UInt16?
  private var isWhole = false
  private var isKey = false
  private var hasSequence = false
  private var hasPicture = false

  init(_ loop: LoadLoop, _ maker: any DTLSMaker, _ camera: CannedCamera, address: String, role: ICERole) {
    self.camera = camera
    peer = LoadPeer(loop, maker, address: address, role: role)
    peer.whenPacket = { [unowned self] kind, header, packet in
      if kind == .video { take(header, packet.extracting(header.payload)) }
    }
  }

  /// Begins a new measurement.
  func forgetFigures() {
    latencies.removeAll(keepingCapacity: true)
    whole = 0
    torn = 0
  }

  private func take(_ header: PacketHeader, _ payload: Span<UInt8>) {
    guard payload.count > 2 else { return }
    if let next {
      if next != header.sequence { isWhole = false }
    } else {
      // Nobody knows whether a picture began before, unless this packet begins one.
      let kind = payload[0] & 31
      isWhole = kind != 28 || payload[1] & 0x80 != 0
    }
    next = header.sequence &+ 1
    switch payload[0] & 31 {
    case 24:
      var place = 1
      while place + 2 < payload.count {
        note(payload[place + 2] & 31)
        place += 2 + Int(payload[place]) << 8 + Int(payload[place + 1])
      }
    case 28: note(payload[1] & 31)
    case let kind: note(kind)
    }
    guard header.marker else { return }
    if isWhole {
      whole += 1
      let now = LoadLoop.now
      if isKey, hasSequence, hasPicture, firstPicture == nil {
        firstPicture = Double((now - began).nanoseconds) / 1e6
      }
      if measures, let end = CannedVideo.end(of: payload), let number = camera.video.ends[end],
        let sent = camera.sent[number]
      {
        latencies.append(Double((now - sent).nanoseconds) / 1e6)
      }
    } else {
      torn += 1
    }
    isWhole = true
    isKey = false
  }

  private func note(_ kind: UInt8) {
    switch kind {
    case 5: isKey = true
    case 7: hasSequence = true
    case 8: hasPicture = true
    default: break
    }
  }
}
