/// A length of time in nanoseconds; negative when it points backwards.
package struct Interval: Hashable, Comparable, Sendable {
  package var nanoseconds: Int64

  @inlinable package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  package static let zero = Interval(nanoseconds: 0)
  @inlinable package static func nanoseconds(_ count: Int64) -> Interval {
    .init(nanoseconds: count)
  }
  @inlinable package static func microseconds(_ count: Int64) -> Interval {
    .init(nanoseconds: count * 1_000)
  }
  @inlinable package static func milliseconds(_ count: Int64) -> Interval {
    .init(nanoseconds: count * 1_000_000)
  }
  @inlinable package static func seconds(_ count: Int64) -> Interval {
    .init(nanoseconds: count * 1_000_000_000)
  }
  @inlinable package static func minutes(_ count: Int64) -> Interval { .seconds(count * 60) }
  @inlinable package static func hours(_ count: Int64) -> Interval { .seconds(count * 3_600) }

  /// Whole milliseconds, rounded towards zero.
  @inlinable package var milliseconds: Int64 { nanoseconds / 1_000_000 }
  /// Whole seconds, rounded towards zero.
  @inlinable package var seconds: Int64 { nanoseconds / 1_000_000_000 }

  @inlinable package static func < (left: Interval, right: Interval) -> Bool {
    left.nanoseconds < right.nanoseconds
  }
  @inlinable package static func + (left: Interval, right: Interval) -> Interval {
    .init(nanoseconds: left.nanoseconds + right.nanoseconds)
  }
  @inlinable package static func - (left: Interval, right: Interval) -> Interval {
    .init(nanoseconds: left.nanoseconds - right.nanoseconds)
  }
  @inlinable package static func * (left: Interval, right: Int64) -> Interval {
    .init(nanoseconds: left.nanoseconds * right)
  }
  @inlinable package static func / (left: Interval, right: Int64) -> Interval {
    .init(nanoseconds: left.nanoseconds / right)
  }
}

/// A point on the monotonic clock: nanoseconds since an origin that means nothing outside one run.
package struct Instant: Hashable, Comparable, Sendable {
  package var nanoseconds: Int64

  @inlinable package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  @inlinable package static func < (left: Instant, right: Instant) -> Bool {
    left.nanoseconds < right.nanoseconds
  }
  @inlinable package static func + (left: Instant, right: Interval) -> Instant {
    .init(nanoseconds: left.nanoseconds + right.nanoseconds)
  }
  @inlinable package static func - (left: Instant, right: Interval) -> Instant {
    .init(nanoseconds: left.nanoseconds - right.nanoseconds)
  }
  @inlinable package static func - (left: Instant, right: Instant) -> Interval {
    .init(nanoseconds: left.nanoseconds - right.nanoseconds)
  }

  /// The earlier of two deadlines, of which nil is one that never comes.
  @inlinable package static func earlier(_ one: Instant?, _ other: Instant?) -> Instant? {
    guard let one, let other else { return one ?? other }
    return min(one, other)
  }
}

/// A point in civil time: nanoseconds since 1970-01-01T00:00:00Z. It may jump; never measure with it.
package struct WallTime: Hashable, Comparable, Sendable {
  package var nanoseconds: Int64

  @inlinable package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
  @inlinable package init(seconds: Int64) { self.nanoseconds = seconds * 1_000_000_000 }

  @inlinable package var seconds: Int64 { nanoseconds / 1_000_000_000 }
  @inlinable package var milliseconds: Int64 { nanoseconds / 1_000_000 }

  @inlinable package static func < (left: WallTime, right: WallTime) -> Bool {
    left.nanoseconds < right.nanoseconds
  }
  @inlinable package static func + (left: WallTime, right: Interval) -> WallTime {
    .init(nanoseconds: left.nanoseconds + right.nanoseconds)
  }
  @inlinable package static func - (left: WallTime, right: WallTime) -> Interval {
    .init(nanoseconds: left.nanoseconds - right.nanoseconds)
  }
}

/// What the clock on the building's wall shows.
package struct LocalTime: Hashable, Sendable {
  package var date: CivilDate
  /// Minutes since local midnight, 0 to 1439.
  package var minute: Int

  package init(date: CivilDate, minute: Int) {
    self.date = date
    self.minute = minute
  }
}

/// A day of the proleptic Gregorian calendar.
package struct CivilDate: Hashable, Sendable {
  package var year: Int
  /// 1 to 12.
  package var month: Int
  /// 1 to 31.
  package var day: Int

  package init(year: Int, month: Int, day: Int) {
    self.year = year
    self.month = month
    self.day = day
  }

  /// The day that is `days` after 1970-01-01.
  package init(daysSinceEpoch days: Int) {
    // Counting in years that begin in March puts the leap day last.
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
    month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }

  /// Days since 1970-01-01, negative before it.
  package var daysSinceEpoch: Int {
    let shiftedYear = month <= 2 ? year - 1 : year
    let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
    let yearOfEra = shiftedYear - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }

  /// Whether the calendar has this day.
  package var isReal: Bool {
    (1...12).contains(month) && (1...31).contains(day)
      && CivilDate(daysSinceEpoch: daysSinceEpoch) == self
  }

  /// 0 for Monday to 6 for Sunday.
  package var weekday: Int { ((daysSinceEpoch + 3) % 7 + 7) % 7 }
}

extension WallTime: CustomStringConvertible {
  /// RFC 3339 in UTC with milliseconds, such as `2026-11-20T21:28:39.000Z`.
  package var description: String {
    let total = milliseconds >= 0 ? milliseconds : 0
    let date = CivilDate(daysSinceEpoch: Int(total / 86_400_000))
    let rest = Int(total % 86_400_000)
    func padded(_ value: Int, _ width: Int) -> String {
      let digits = String(value)
      return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
    return padded(date.year, 4) + "-" + padded(date.month, 2) + "-" + padded(date.day, 2) + "T"
      + padded(rest / 3_600_000, 2) + ":" + padded(rest / 60_000 % 60, 2) + ":"
      + padded(rest / 1000 % 60, 2) + "." + padded(rest % 1000, 3) + "Z"
  }

  /// Reads what `description` writes; fractions of a second are optional. Nil for anything else.
  package init?(_ text: String) {
    let bytes = Array(text.utf8)
    func number(_ range: Range<Int>) -> Int? {
      guard range.upperBound <= bytes.count else { return nil }
      var value = 0
      for byte in bytes[range] {
        guard byte >= 48, byte <= 57 else { return nil }
        value = value * 10 + Int(byte - 48)
      }
      return value
    }
    guard bytes.count >= 20, bytes.last == UInt8(ascii: "Z"), bytes[10] == UInt8(ascii: "T"),
      bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"), bytes[13] == UInt8(ascii: ":"),
      bytes[16] == UInt8(ascii: ":"),
      let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
      let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
      CivilDate(year: year, month: month, day: day).isReal, hour < 24, minute < 60, second < 61
    else { return nil }
    var fraction: Int64 = 0
    if bytes.count > 20 {
      guard bytes[19] == UInt8(ascii: "."), (22...30).contains(bytes.count),
        let digits = number(20..<bytes.count - 1)
      else { return nil }
      fraction = Int64(digits)
      for _ in 0..<(9 - (bytes.count - 21)) { fraction *= 10 }
    }
    let days = CivilDate(year: year, month: month, day: day).daysSinceEpoch
    // 64 bits of nanoseconds end in the year 2262; text from outside may name a later one.
    let (whole, tooLate) = Int64(days * 86_400 + hour * 3600 + minute * 60 + second)
      .multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, overflow) = whole.addingReportingOverflow(fraction)
    guard !tooLate, !overflow else { return nil }
    self.init(nanoseconds: sum)
  }
}
