package import RTP
package import Wire

// One stream of RTP from a camera: which source it is, in which order its packets are handed on, when its pictures were
// taken, and what we report about it.
//
// Responsible for: pinning the source and its payload type, forgiving what cameras get wrong about either; putting
// datagrams back into order within a short patience; the receiver's side of RTCP. Assumes that whoever feeds it has
// checked the address. Somebody else's: what the payloads mean.

package struct MediaReception: Sendable {
  package enum Arrival: Hashable, Sendable {
    /// To be looked at now; then ask `takeHeld`.
    case deliver(PacketHeader)
    /// Kept until what is missing before it comes, or is given up.
    case held
    /// Late, repeated, foreign or no RTP.
    case dropped
  }

  /// How long a packet waits for an earlier one.
  private static let patience = Interval.milliseconds(60)
  /// Packets of another source, or another payload type, before we believe that the camera means them.
  private static let conviction = 4

  package let clockRate: UInt32
  package private(set) var payloadType: UInt8
  package private(set) var ssrc: UInt32?
  package private(set) var counts: Reception
  package private(set) var dropped = 0
  private var order: PacketOrder
  private var other: (ssrc: UInt32, payloadType: UInt8, count: Int)?
  private let ownSSRC: UInt32
  private let name: [UInt8]
  private var clock = CaptureClock()
  private var fullIntra: UInt8 = 0

  /// `isOrdered`: the stream comes over a connection, which keeps order by itself. `name`: our canonical name in reports,
  /// drawn by the caller.
  package init(track: RTSPTrack, isOrdered: Bool, ownSSRC: UInt32, name: [UInt8]) {
    clockRate = max(1, track.clockRate)
    payloadType = track.payloadType
    order = PacketOrder(patience: isOrdered ? nil : MediaReception.patience)
    self.ownSSRC = ownSSRC
    self.name = name
    counts = Reception(clockRate: track.clockRate)
  }

  /// Takes one packet in.
  package mutating func receive(_ packet: Span<UInt8>, at now: Instant) -> Arrival {
    guard let header = try? PacketHeader(parsing: packet), accepts(header) else {
      dropped += 1
      return .dropped
    }
    counts.receive(sequence: header.sequence, timestamp: header.timestamp, at: now)
    switch order.take(packet, sequence: header.sequence, at: now) {
    case .now: return .deliver(header)
    case .held: return .held
    case .over:
      dropped += 1
      return .dropped
    }
  }

  private mutating func accepts(_ header: PacketHeader) -> Bool {
    if let ssrc, ssrc == header.ssrc, header.payloadType == payloadType {
      other = nil
      return true
    }
    if ssrc == nil, header.payloadType == payloadType {
      ssrc = header.ssrc
      return true
    }
    guard let known = other, known.ssrc == header.ssrc, known.payloadType == header.payloadType else {
      other = (header.ssrc, header.payloadType, 1)
      return false
    }
    guard known.count + 1 >= MediaReception.conviction else {
      other = (known.ssrc, known.payloadType, known.count + 1)
      return false
    }
    // It began anew, or its description named another payload type.
    other = nil
    ssrc = header.ssrc
    payloadType = header.payloadType
    counts = Reception(clockRate: clockRate)
    clock = CaptureClock()
    order.forget()
    return true
  }

  /// The next packet whose turn has come; ask after each `receive` and when `nextDeadline` is reached.
  package mutating func takeHeld(at now: Instant) -> [UInt8]? { order.next(at: now) }

  package var nextDeadline: Instant? { order.nextDeadline }

  /// When the picture or sound of `timestamp`, which came at `now`, was taken, as near as its way here tells.
  package mutating func captured(_ timestamp: UInt32, at now: Instant) -> Instant {
    clock.captured(timestamp, rate: clockRate, at: now)
  }

  /// Reads a compound of the camera's. True when it says that the stream is over.
  package mutating func receiveControl(_ compound: Span<UInt8>, at now: Instant) -> Bool {
    var reader = ControlReader()
    while let packet = try? reader.next(in: compound) {
      switch packet {
      case .senderReport(let source, let information, _) where source == ssrc:
        counts.heard(senderReport: information.ntp, at: now)
      case .bye(let sources):
        if let ssrc, sources.contains(ssrc) { return true }
      default: break
      }
    }
    return false
  }

  /// A receiver report with our name (RFC 3550 section 6.4.2); empty of blocks before the first packet.
  package mutating func report(at now: Instant) -> [UInt8] {
    var writer = ControlWriter()
    writer.receiverReport(ssrc: ownSSRC, ssrc.map { counts.report(about: $0, at: now) })
    writer.description(ssrc: ownSSRC, name: name)
    return writer.bytes
  }

  /// A report that asks for a key picture in both ways that cameras know (RFC 4585 section 6.3.1, RFC 5104 section
  /// 4.3.1). Nil before the first packet.
  package mutating func keyFrameRequest(at now: Instant) -> [UInt8]? {
    guard let ssrc else { return nil }
    var writer = ControlWriter()
    writer.receiverReport(ssrc: ownSSRC, counts.report(about: ssrc, at: now))
    writer.description(ssrc: ownSSRC, name: name)
    writer.pictureLoss(sender: ownSSRC, media: ssrc)
    writer.fullIntra(sender: ownSSRC, media: ssrc, sequence: fullIntra)
    fullIntra &+= 1
    return writer.bytes
  }
}

/// Tells when something was taken from when it came: the least delay seen is taken for none, and a slow drift of the
/// camera's clock is followed.
struct CaptureClock: Sendable {
  private var anchor: (timestamp: UInt32, at: Instant)?
  /// How far the line is moved later for every second: faster than any quartz drifts.
  private static let drift: Int64 = 200_000
  /// A stream that stands still for longer, or jumps, begins a new line.
  private static let jump = Interval.seconds(10)

  mutating func captured(_ timestamp: UInt32, rate: UInt32, at now: Instant) -> Instant {
    guard let known = anchor else {
      anchor = (timestamp, now)
      return now
    }
    let ticks = Int64(Int32(bitPattern: timestamp &- known.timestamp))
    let elapsed = ticks * 1_000_000_000 / Int64(rate)
    let line = known.at + .nanoseconds(elapsed)
    let late = now - line
    if late < .zero || late > CaptureClock.jump {
      anchor = (timestamp, now)
      return now
    }
    if ticks > Int64(rate) {
      let moved = line + .nanoseconds(elapsed / 1_000_000_000 * CaptureClock.drift)
      anchor = (timestamp, min(moved, now))
    }
    return line
  }
}
