internal import JSON
internal import Journal
internal import Wire

/// Hands records on and keeps the newest, as support may read them: without what a stranger wrote.
final class LogTail: LogSink {
  static let limit = 500
  private let sink: any LogSink
  private var lines: [JSONValue] = []

  init(_ sink: any LogSink) { self.sink = sink }

  func write(_ record: borrowing Record, at wall: WallTime) {
    sink.write(record, at: wall)
    guard record.level <= .notice else { return }
    // Cut by half when full: moving the rest then costs little.
    if lines.count >= LogTail.limit { lines.removeFirst(LogTail.limit / 2) }
    var fields: [JSONField] = [
      JSONField("at", .string(wall.description)), JSONField("level", .string("\(record.level)")),
      JSONField("event", .string(record.event)),
    ]
    // What Fail2Ban reads holds names and addresses as they came over the network.
    if !record.isVerbatim {
      fields.append(JSONField("message", .string(record.message)))
      for field in record.fields {
        let text = field.value.description
        fields.append(
          JSONField(field.name, .string(IPAddress(text).map { Address($0).description } ?? text)))
      }
    }
    lines.append(.object(fields))
  }

  var newest: JSONValue { .array(lines) }
}
