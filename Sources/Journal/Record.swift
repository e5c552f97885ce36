package import Wire

/// How much a record matters; the numbers are syslog's.
package enum Level: Int, Sendable, Hashable, CaseIterable, Comparable {
  /// The gateway cannot serve.
  case critical = 2
  /// Something was asked for and could not be done.
  case error = 3
  /// It works, but somebody should look.
  case warning = 4
  /// Ordinary and worth keeping.
  case notice = 5
  case info = 6
  case debug = 7

  /// More important is greater.
  package static func < (left: Level, right: Level) -> Bool { left.rawValue > right.rawValue }

  package var name: String {
    switch self {
    case .critical: "critical"
    case .error: "error"
    case .warning: "warning"
    case .notice: "notice"
    case .info: "info"
    case .debug: "debug"
    }
  }
}

/// One thing that happened: a name for machines, a sentence for people, and what it concerned.
package struct Record: Sendable, Hashable {
  package enum Value: Sendable, Hashable {
    case text(String)
    case number(Int64)
    case flag(Bool)
    case secret(Secret)
    case address(Address)
  }

  package struct Field: Sendable, Hashable {
    /// Lower-case letters, digits and underscores, as `call` or `packets_in`.
    package var name: String
    package var value: Value
  }

  package var level: Level
  /// A name that stays, as `call.ended`.
  package var event: String
  package var message: String
  package var fields: [Field]
  /// The message is a line that another program reads as it stands: sinks of text add nothing to it.
  package var isVerbatim: Bool

  package init(
    _ level: Level, _ event: String, _ message: String, _ fields: KeyValuePairs<String, Value> = [:],
    isVerbatim: Bool = false
  ) {
    self.level = level
    self.event = event
    self.message = message
    self.fields = fields.map { Field(name: $0.key, value: $0.value) }
    self.isVerbatim = isVerbatim
  }
}

extension Record.Value: CustomStringConvertible, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByBooleanLiteral
{
  package init(stringLiteral value: String) { self = .text(value) }
  package init(integerLiteral value: Int64) { self = .number(value) }
  package init(booleanLiteral value: Bool) { self = .flag(value) }

  /// The value as text; secrets and addresses in their redacted form.
  package var description: String {
    switch self {
    case .text(let text): text
    case .number(let number): String(number)
    case .flag(let flag): flag ? "true" : "false"
    case .secret(let secret): secret.description
    case .address(let address): address.description
    }
  }
}

/// Where records go. One per thread; it may not block for long and does not fail.
package protocol LogSink: AnyObject {
  func write(_ record: borrowing Record, at wall: WallTime)
}

/// What the rooms of one thread write into.
///
/// It keeps what matters enough and hands it on. It renders nothing and knows no clock: the shell sets `wall` at
/// each turn.
package final class Log {
  package var sink: any LogSink
  /// Records below this level are dropped.
  package var threshold: Level
  package var wall: WallTime
  /// Records handed on so far.
  package private(set) var written: UInt64 = 0

  package init(_ sink: any LogSink, threshold: Level = .info, wall: WallTime = WallTime(seconds: 0)) {
    self.sink = sink
    self.threshold = threshold
    self.wall = wall
  }

  /// Writes a record; its text is not even made when the level is below the threshold.
  package func write(
    _ level: Level, _ event: String, _ message: @autoclosure () -> String,
    _ fields: @autoclosure () -> KeyValuePairs<String, Record.Value> = [:]
  ) {
    guard level >= threshold else { return }
    write(Record(level, event, message(), fields()))
  }

  package func write(_ record: Record) {
    guard record.level >= threshold else { return }
    written += 1
    sink.write(record, at: wall)
  }
}

/// Keeps the newest records in memory: for tests, and for a support bundle.
package final class RecentRecords: LogSink {
  /// The most that are kept.
  package let limit: Int
  package private(set) var records: [Record] = []

  package init(limit: Int = 1000) { self.limit = limit }

  package func write(_ record: borrowing Record, at wall: WallTime) {
    // Cut by half when full: moving the rest costs one copy per record, not one per write.
    if records.count == limit { records.removeFirst(max(1, limit / 2)) }
    records.append(copy record)
  }
}
