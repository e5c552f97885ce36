package import Wire

/// Hours of a week, in the site's time zone. Empty periods do not occur: a schedule that is absent is nil.
package struct Schedule: Hashable, Sendable {
  package var periods: [Period]

  package init(_ periods: [Period]) { self.periods = periods }

  package func contains(_ time: LocalTime) -> Bool { periods.contains { $0.contains(time) } }
}

/// From a time of day to another, on some days of the week. What lies past midnight belongs to the starting day.
package struct Period: Hashable, Sendable {
  package var days: Days
  /// Minutes since midnight, 0 to 1439; the first that belongs.
  package var from: Int
  /// Minutes since midnight, 0 to 1440; the first that does not. At or before `from` it is the next day's.
  package var to: Int

  package init(days: Days = .all, from: Int, to: Int) {
    self.days = days
    self.from = from
    self.to = to
  }

  package func contains(_ time: LocalTime) -> Bool {
    let today = time.date.weekday
    if from < to { return days.contains(today) && time.minute >= from && time.minute < to }
    return days.contains(today) && time.minute >= from
      || days.contains((today + 6) % 7) && time.minute < to
  }
}

/// Days of the week, 0 for Monday to 6 for Sunday.
package struct Days: Hashable, Sendable {
  package var bits: UInt8

  package init(bits: UInt8) { self.bits = bits & 0x7F }
  package init(_ days: some Sequence<Int>) { bits = days.reduce(0) { $0 | 1 << UInt8($1) } }

  package static let all = Days(bits: 0x7F)
  package static let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

  package func contains(_ weekday: Int) -> Bool { bits >> UInt8(weekday) & 1 == 1 }
  package var written: [String] { (0..<7).filter(contains).map { Days.names[$0] } }
}

/// Times of day as files write them.
enum Clock {
  /// Minutes since midnight of `"22:00"`; `"24:00"` is 1440. Nil for anything else.
  static func minutes(_ text: String) -> Int? {
    let bytes = Array(text.utf8)
    guard bytes.count == 5, bytes[2] == UInt8(ascii: ":"),
      [bytes[0], bytes[1], bytes[3], bytes[4]].allSatisfy(ASCII.isDigit)
    else { return nil }
    let hour = Int(bytes[0] - 48) * 10 + Int(bytes[1] - 48)
    let minute = Int(bytes[3] - 48) * 10 + Int(bytes[4] - 48)
    guard minute < 60, hour < 24 || hour == 24 && minute == 0 else { return nil }
    return hour * 60 + minute
  }

  static func written(_ minutes: Int) -> String {
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return "\(two(minutes / 60)):\(two(minutes % 60))"
  }
}
