package import Wire

/// Civil time in the few zones that tests need, by rule and not by the system's tables.
package enum SimulatedZones {
  /// `UTC`, `UTC+hh:mm`, `UTC-hh:mm`, `Europe/Paris` and `Europe/Berlin`; nil for any other name.
  package static func localTime(at wall: WallTime, in zone: String) -> LocalTime? {
    guard let offset = offset(at: wall, in: zone) else { return nil }
    let minutes = Int((wall.seconds + offset * 60) / 60)
    let day = minutes >= 0 ? minutes / 1440 : (minutes - 1439) / 1440
    return LocalTime(date: CivilDate(daysSinceEpoch: day), minute: minutes - day * 1440)
  }

  /// Minutes east of Greenwich.
  private static func offset(at wall: WallTime, in zone: String) -> Int64? {
    if zone == "UTC" { return 0 }
    if zone == "Europe/Paris" || zone == "Europe/Berlin" { return isSummer(wall) ? 120 : 60 }
    let text = Array(zone.utf8)
    guard text.count == 9, zone.hasPrefix("UTC"), text[6] == UInt8(ascii: ":"),
      let hours = Int64(String(decoding: text[4..<6], as: UTF8.self)),
      let minutes = Int64(String(decoding: text[7..<9], as: UTF8.self)), hours <= 14, minutes < 60
    else { return nil }
    switch text[3] {
    case UInt8(ascii: "+"): return hours * 60 + minutes
    case UInt8(ascii: "-"): return -(hours * 60 + minutes)
    default: return nil
    }
  }

  /// From 01:00 UTC on the last Sunday of March to 01:00 UTC on the last Sunday of October.
  private static func isSummer(_ wall: WallTime) -> Bool {
    let hours = wall.seconds / 3600
    let year = CivilDate(daysSinceEpoch: Int(hours / 24)).year
    let begin = lastSunday(year, 3) * 24 + 1
    let end = lastSunday(year, 10) * 24 + 1
    return begin <= hours && hours < end
  }

  private static func lastSunday(_ year: Int, _ month: Int) -> Int64 {
    let last = CivilDate(year: year, month: month, day: 31)
    return Int64(last.daysSinceEpoch - (last.weekday + 1) % 7)
  }
}
