// The packets of a station's leg on their way to become pictures.
//
// Responsible for: their order, what is missing, the parameter sets where only the description carries them, and finding
// out that they are no pictures that a browser shows.
// Assumes that whoever hands them in has checked where they come from.

internal import RTP
internal import SDP
internal import Wire

final class Assembly {
  /// What is to be done with what came.
  enum Step {
    case picture(AccessUnit)
    /// Something is missing: nothing is handed on before the next key picture.
    case wantsKey
    /// It is nothing that can be shown; said once.
    case unusable(CodingWatch.Verdict)
  }

  /// How long a packet waits for an earlier one. There is no timer: what waits is looked at when the next packet comes.
  private static let patience = Interval.milliseconds(30)

  private var order = PacketOrder(patience: patience)
  private var source: UInt32?
  private var depacketizer = H264Depacketizer()
  private var waits = true
  private var description = ""
  private var sps: [UInt8]?
  private var pps: [UInt8]?
  private var watch = CodingWatch(hasParameters: false)

  /// Takes over what the station's description says of its pictures.
  func describe(_ format: Codec) {
    guard case .other(let name, let parameters) = format, parameters != description else { return }
    description = parameters
    let sets = Format(payloadType: 0, encoding: name, clockRate: 90_000, parameters: parameters).parameterSets
    sps = sets.last { $0[0] & 0x1F == 7 }
    pps = sets.first { $0[0] & 0x1F == 8 }
    watch = CodingWatch(hasParameters: sps != nil)
  }

  func take(_ packet: Span<UInt8>, _ header: PacketHeader, at now: Instant, _ tell: (Step) -> Void) {
    if header.ssrc != source {
      source = header.ssrc
      order.forget()
    }
    if order.take(packet, sequence: header.sequence, at: now) == .now {
      look(header, packet.extracting(header.payload), at: now, tell)
    }
    while let held = order.next(at: now), let header = try? PacketHeader(parsing: held.span) {
      look(header, held.span.extracting(header.payload), at: now, tell)
    }
  }

  private func look(
    _ header: PacketHeader, _ payload: Span<UInt8>, at now: Instant, _ tell: (Step) -> Void
  ) {
    if watch.look(payload, now: now), let verdict = watch.verdict { tell(.unusable(verdict)) }
    let losses = depacketizer.losses
    let unit = depacketizer.receive(header: header, payload: payload, now: now)
    var wantsKey = depacketizer.losses != losses
    if wantsKey { waits = true }
    if let unit {
      if unit.isKey { waits = false }
      wantsKey = wantsKey || waits
      if !waits { tell(.picture(complete(unit))) }
    }
    if wantsKey { tell(.wantsKey) }
  }

  private func complete(_ unit: AccessUnit) -> AccessUnit {
    guard unit.isKey, let sps, let pps else { return unit }
    return unit.adding(sps: sps, pps: pps)
  }
}

/// A leg whose pictures are those of a feed.
final class Filling {
  unowned let feed: Feed
  let assembly = Assembly()

  init(_ feed: Feed) { self.feed = feed }
}
