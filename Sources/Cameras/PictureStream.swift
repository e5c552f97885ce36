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
    var hasSPS = false
    var hasPPS = false
    for range in unit.units {
      let type = unit.bytes[range.lowerBound] & 0x1F
      guard type == 7 || type == 8 else { continue }
      if type == 7 { hasSPS = true } else { hasPPS = true }
      note(Array(unit.bytes[range]))
    }
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
    var whole = unit
    if unit.isKey, !hasSPS || !hasPPS {
      whole = PictureStream.adding(hasSPS ? [] : sps, hasPPS ? [] : pps, to: unit)
    }
    return .picture(whole, width: parameters.width, height: parameters.height)
  }

  /// The same picture with parameter sets in front of its first slice.
  private static func adding(_ sps: [UInt8], _ pps: [UInt8], to unit: AccessUnit) -> AccessUnit {
    let first =
      unit.units.firstIndex { (1...5).contains(unit.bytes[$0.lowerBound] & 0x1F) } ?? unit.units.endIndex
    var bytes: [UInt8] = []
    var units: [Range<Int>] = []
    func add(_ part: some Collection<UInt8>) {
      guard !part.isEmpty else { return }
      units.append(bytes.count..<bytes.count + part.count)
      bytes += part
    }
    for range in unit.units[..<first] { add(unit.bytes[range]) }
    add(sps)
    add(pps)
    for range in unit.units[first...] { add(unit.bytes[range]) }
    return AccessUnit(
      bytes: bytes, units: units, timestamp: unit.timestamp, captured: unit.captured, isKey: unit.isKey)
  }
}
