package import Wire

/// `WallTime` in the form of header fields.
package enum HTTPDate {
  /// IMF-fixdate (RFC 9110 section 5.6.7), such as `Fri, 20 Nov 2026 21:28:39 GMT`.
  package static func text(_ time: WallTime) -> String {
    let seconds = Int(max(0, time.seconds))
    let date = CivilDate(daysSinceEpoch: seconds / 86_400)
    let rest = seconds % 86_400
    let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    let months = [
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return "\(days[date.weekday]), \(two(date.day)) \(months[date.month - 1]) \(date.year) "
      + "\(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60)) GMT"
  }
}
