package import RTP
internal import Wire

/// The pictures of a camera's packets, fit to be handed on: from a key picture with its parameter sets on, and after a
/// loss from the next one on.
package struct PictureStream {
  package enum Outcome {
    case nothing
    /// A picture came that nobody can begin with.
    case wantsKey
    case picture(AccessUnit, width: Int, height: Int)
    /// The stream is none that a browser shows: why.
    case unusable(String)
  }

  private var depacketizer = H264Depacketizer()
  private var sps: [UInt8]?
  private var pps: [UInt8]?
  private var parameters: H264Parameters?
  private var isWaiting = true
  private var losses = 0

  /// `parameterSets`: what the camera's description carried.
  package init(parameterSets: [[UInt8]] = []) {
    for set in parameterSets { note(set) }
  }

  private mutating func note(_ unit: [UInt8]) {
    switch unit[0] & 0x1F {
    case 7 where unit != sps:
      sps = unit
      parameters = nil
    case 8 where unit != pps:
      pps = unit
      parameters = nil
    default: break
    }
  }

  mutating func receive(_ header: PacketHeader, _ payload: Span<UInt8>, captured: Instant) -> Outcome {
    let unit = depacketizer.receive(header: header, payload: payload, now: captured)
    if depacketizer.losses != losses {
      losses = depacketizer.losses
      isWaiting = true
    }
    guard let unit else { return .nothing }
    return take(unit)
  }

  /// The next picture of a source that hands in whole ones.
  package mutating func take(_ unit: AccessUnit) -> Outcome {
    for set in unit.parameterSets { note(set) }
    guard unit.isKey || !isWaiting else { return .wantsKey }
    // Without parameter sets there is nothing to decode with; the watch tells when they never come.
    guard let sps, let pps else { return .wantsKey }
    if parameters == nil {
      guard let read = H264Parameters(sps: sps, pps: pps) else {
        return .unusable("the camera's parameter sets cannot be read, or name a size that no picture has")
      }
      parameters = read
    }
    guard let parameters else { return .nothing }
    if unit.isKey { isWaiting = false }
    let whole = unit.isKey ? unit.adding(sps: sps, pps: pps) : unit
    return .picture(whole, width: parameters.width, height: parameters.height)
  }
}
