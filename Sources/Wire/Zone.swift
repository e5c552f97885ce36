/// What the clocks of one place show: the tz database's compiled form (RFC 8536) and its closing rule (a POSIX
/// `TZ` string) as a value.
///
/// It answers for moments, never for local times, so an hour that a change of clocks skips or repeats has no
/// trap. Reading the file is its maker's affair.
package struct Zone: Sendable, Equatable {
  private var transitions: [Int64] = []
  /// The offset from each transition on; seconds east of Greenwich.
  private var offsets: [Int] = []
  private var first = 0
  private var rule: Rule?

  package static let utc = Zone()
  private init() {}

  /// A place known by its rule alone, such as `CET-1CEST,M3.5.0,M10.5.0/3`; nil if it is not one.
  package init?(rule text: String) {
    guard let rule = Rule(Array(text.utf8)) else { return nil }
    self.rule = rule
    first = rule.standard
  }

  /// A compiled zone file of version 1 to 4; nil if it is cut or contradicts itself.
  package init?(tzif bytes: [UInt8]) {
    guard let old = Header(bytes, at: 0) else { return nil }
    if old.version == 0 {
      guard read(bytes, old, from: 44, width: 4) != nil else { return nil }
      return
    }
    guard let oldSize = old.size(width: 4), let new = Header(bytes, at: 44 + oldSize),
      let end = read(bytes, new, from: 44 + oldSize + 44, width: 8)
    else { return nil }
    guard end < bytes.count, bytes[end] == 10,
      let close = bytes[(end + 1)...].firstIndex(of: 10)
    else { return nil }
    if close > end + 1 {
      guard let rule = Rule(Array(bytes[end + 1..<close])) else { return nil }
      self.rule = rule
    }
  }

  /// Seconds to add to UTC at `wall`.
  package func offset(at wall: WallTime) -> Int {
    let time = Zone.seconds(of: wall)
    guard let last = transitions.last, time < last else {
      return rule?.offset(at: time) ?? offsets.last ?? first
    }
    var low = 0
    var high = transitions.count
    while low < high {
      let middle = (low + high) / 2
      if transitions[middle] <= time { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? first : offsets[low - 1]
  }

  /// What a clock there shows at `wall`.
  package func localTime(at wall: WallTime) -> LocalTime {
    let local = Zone.seconds(of: wall) + Int64(offset(at: wall))
    let day = local.dividedDown(by: 86_400)
    return LocalTime(
      date: CivilDate(daysSinceEpoch: Int(day)), minute: Int((local - day * 86_400) / 60))
  }

  private static func seconds(of wall: WallTime) -> Int64 {
    wall.nanoseconds.dividedDown(by: 1_000_000_000)
  }

  // MARK: The compiled form

  private struct Header {
    var version: UInt8
    var utcIndicators = 0
    var standardIndicators = 0
    var leaps = 0
    var times = 0
    var types = 0
    var characters = 0

    init?(_ bytes: [UInt8], at start: Int) {
      guard start + 44 <= bytes.count, Array(bytes[start..<start + 4]) == Array("TZif".utf8) else {
        return nil
      }
      version = bytes[start + 4]
      let counts = (0..<6).map { Int(number(bytes, at: start + 20 + $0 * 4, width: 4)) }
      // No place on Earth has a hundredth of this; a torn file might claim it.
      guard counts.allSatisfy({ $0 >= 0 && $0 <= 100_000 }), counts[4] >= 1 else { return nil }
      utcIndicators = counts[0]
      standardIndicators = counts[1]
      leaps = counts[2]
      times = counts[3]
      types = counts[4]
      characters = counts[5]
    }

    func size(width: Int) -> Int? {
      times * (width + 1) + types * 6 + characters + leaps * (width + 4) + standardIndicators + utcIndicators
    }
  }

  /// Reads one block's transitions; where it ends, nil when it is cut.
  private mutating func read(_ bytes: [UInt8], _ header: Header, from start: Int, width: Int) -> Int? {
    guard let size = header.size(width: width), start + size <= bytes.count else { return nil }
    let indices = start + header.times * width
    let types = indices + header.times
    let byType = (0..<header.types).map { Int(number(bytes, at: types + $0 * 6, width: 4)) }
    guard byType.allSatisfy({ $0 > -90_000 && $0 < 95_000 }) else { return nil }
    for index in 0..<header.times {
      let type = Int(bytes[indices + index])
      let time = number(bytes, at: start + index * width, width: width)
      guard type < byType.count, transitions.last.map({ $0 < time }) ?? true else { return nil }
      transitions.append(time)
      offsets.append(byType[type])
    }
    first = byType[0]
    return start + size
  }

  // MARK: The closing rule

  /// `std offset [dst [offset] [, start [/time], end [/time]]]` (POSIX, with the wider hours of RFC 8536).
  private struct Rule: Sendable, Equatable {
    enum Day: Sendable, Equatable {
      /// The `week`th `weekday` (0 is Sunday) of a month; week 5 is the last.
      case weekday(month: Int, week: Int, weekday: Int)
      /// 1 to 365, 29 February never counted.
      case julian(Int)
      /// 0 to 365.
      case ordinal(Int)
    }

    var standard: Int
    var summer: Int?
    var start = (day: Day.weekday(month: 3, week: 2, weekday: 0), time: 7200)
    var end = (day: Day.weekday(month: 11, week: 1, weekday: 0), time: 7200)

    static func == (left: Rule, right: Rule) -> Bool {
      left.standard == right.standard && left.summer == right.summer && left.start == right.start
        && left.end == right.end
    }

    init?(_ text: [UInt8]) {
      var reader = RuleReader(text: text)
      guard reader.name(), let west = reader.duration() else { return nil }
      standard = -west
      if reader.isAtEnd { return }
      guard reader.name() else { return nil }
      if reader.isAtEnd || reader.next == UInt8(ascii: ",") {
        summer = standard + 3600
      } else {
        guard let west = reader.duration() else { return nil }
        summer = -west
      }
      if reader.isAtEnd { return }
      guard let start = reader.change(), let end = reader.change(), reader.isAtEnd else { return nil }
      self.start = start
      self.end = end
    }

    func offset(at time: Int64) -> Int {
      guard let summer else { return standard }
      let year = CivilDate(daysSinceEpoch: Int((time + Int64(standard)).dividedDown(by: 86_400))).year
      let begins = Rule.seconds(of: start.day, in: year) + Int64(start.time - standard)
      let ends = Rule.seconds(of: end.day, in: year) + Int64(end.time - summer)
      // South of the equator summer spans the new year.
      let isSummer = begins < ends ? time >= begins && time < ends : !(time >= ends && time < begins)
      return isSummer ? summer : standard
    }

    private static func seconds(of day: Day, in year: Int) -> Int64 {
      let newYear = CivilDate(year: year, month: 1, day: 1).daysSinceEpoch
      switch day {
      case .ordinal(let number): return Int64(newYear + number) * 86_400
      case .julian(let number):
        let isLeap = CivilDate(year: year + 1, month: 1, day: 1).daysSinceEpoch - newYear == 366
        return Int64(newYear + number - 1 + (isLeap && number >= 60 ? 1 : 0)) * 86_400
      case .weekday(let month, let week, let weekday):
        let first = CivilDate(year: year, month: month, day: 1)
        let next = CivilDate(year: month == 12 ? year + 1 : year, month: month % 12 + 1, day: 1)
        // `weekday` counts from Monday, the rule from Sunday.
        let ahead = (weekday - (first.weekday + 1) % 7 + 7) % 7
        var result = first.daysSinceEpoch + ahead + (week - 1) * 7
        if result >= next.daysSinceEpoch { result -= 7 }
        return Int64(result) * 86_400
      }
    }
  }

  private struct RuleReader {
    var text: [UInt8]
    var position = 0

    init(text: [UInt8]) { self.text = text }

    var isAtEnd: Bool { position == text.count }
    var next: UInt8? { position < text.count ? text[position] : nil }

    mutating func take(_ byte: Character) -> Bool {
      guard next == byte.asciiValue else { return false }
      position += 1
      return true
    }

    /// Three letters or more, or anything between angle brackets.
    mutating func name() -> Bool {
      let start = position
      if take("<") {
        while let byte = next, byte != UInt8(ascii: ">") {
          guard ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == 43 || byte == 45 else { return false }
          position += 1
        }
        return take(">")
      }
      while let byte = next, ASCII.isAlpha(byte) { position += 1 }
      return position - start >= 3
    }

    mutating func integer(upTo limit: Int) -> Int? {
      var value = 0
      let start = position
      while let byte = next, ASCII.isDigit(byte), position - start < 4 {
        value = value * 10 + Int(byte - 48)
        position += 1
      }
      return position > start && value <= limit ? value : nil
    }

    /// `[+-]hh[:mm[:ss]]` in seconds.
    mutating func duration() -> Int? {
      let isNegative = take("-")
      if !isNegative { _ = take("+") }
      guard let hours = integer(upTo: 167) else { return nil }
      var total = hours * 3600
      if take(":") {
        guard let minutes = integer(upTo: 59) else { return nil }
        total += minutes * 60
        if take(":") {
          guard let seconds = integer(upTo: 59) else { return nil }
          total += seconds
        }
      }
      return isNegative ? -total : total
    }

    /// `,date[/time]`.
    mutating func change() -> (day: Rule.Day, time: Int)? {
      guard take(",") else { return nil }
      let day: Rule.Day
      if take("M") {
        guard let month = integer(upTo: 12), month >= 1, take("."), let week = integer(upTo: 5), week >= 1,
          take("."), let weekday = integer(upTo: 6)
        else { return nil }
        day = .weekday(month: month, week: week, weekday: weekday)
      } else if take("J") {
        guard let number = integer(upTo: 365), number >= 1 else { return nil }
        day = .julian(number)
      } else {
        guard let number = integer(upTo: 365) else { return nil }
        day = .ordinal(number)
      }
      guard take("/") else { return (day, 7200) }
      guard let time = duration() else { return nil }
      return (day, time)
    }
  }
}

/// A big-endian signed number of 4 or 8 bytes.
private func number(_ bytes: [UInt8], at start: Int, width: Int) -> Int64 {
  var value: UInt64 = 0
  for byte in bytes[start..<start + width] { value = value << 8 | UInt64(byte) }
  return width == 4 ? Int64(Int32(truncatingIfNeeded: value)) : Int64(bitPattern: value)
}

extension Int64 {
  /// The quotient rounded down, also below zero.
  fileprivate func dividedDown(by divisor: Int64) -> Int64 {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? quotient - 1 : quotient
  }
}
