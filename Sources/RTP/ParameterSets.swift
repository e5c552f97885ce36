internal import Wire

// Of H.264 only.
extension AccessUnit {
  /// The parameter sets in it, of the sequence and of pictures, as they come.
  package var parameterSets: [[UInt8]] {
    units.filter { (7...8).contains(type(of: $0)) }.map { Array(bytes[$0]) }
  }

  /// With the parameter sets that it lacks, each before what needs it: itself where it has both.
  package func adding(sps: [UInt8], pps: [UInt8]) -> AccessUnit {
    var lacksSPS = !units.contains { type(of: $0) == 7 }
    var lacksPPS = !units.contains { type(of: $0) == 8 }
    guard lacksSPS || lacksPPS else { return self }
    var all: [UInt8] = []
    var places: [Range<Int>] = []
    func add(_ part: some Collection<UInt8>) {
      places.append(all.count..<all.count + part.count)
      all += part
    }
    for range in units {
      let type = type(of: range)
      let isSlice = (1...5).contains(type)
      if lacksSPS, isSlice || type == 8 {
        add(sps)
        lacksSPS = false
      }
      if lacksPPS, isSlice {
        add(pps)
        lacksPPS = false
      }
      add(bytes[range])
    }
    return AccessUnit(bytes: all, units: places, timestamp: timestamp, captured: captured, isKey: isKey)
  }

  private func type(of unit: Range<Int>) -> UInt8 { bytes[unit.lowerBound] & 0x1F }
}
