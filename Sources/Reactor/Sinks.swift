internal import CLinux
package import Journal
package import Wire

/// Records as lines of text.
package enum LogText {
  /// `2026-11-20T21:28:39.000Z notice call.ended: Call over call=17 end=answered`, or the message alone when it is
  /// verbatim. One line whatever a peer put into it: control bytes are escaped.
  package static func line(_ record: borrowing Record, at wall: WallTime) -> String {
    if record.isVerbatim { return escaped(record.message, quoting: false) }
    var line = "\(wall) \(record.level.name) \(escaped(record.event, quoting: false)): "
    line += escaped(record.message, quoting: false)
    for field in record.fields {
      line += " \(field.name)=\(escaped(field.value.description, quoting: true))"
    }
    return line
  }

  /// One entry of the journal's native protocol.
  package static func journalEntry(_ record: borrowing Record) -> [UInt8] {
    var entry: [UInt8] = []
    func add(_ name: String, _ value: String) {
      entry += name.utf8
      let bytes = Array(value.utf8)
      // A value with a line end goes with its length, so that it cannot begin a field of its own.
      if bytes.contains(10) {
        entry.append(10)
        for shift in stride(from: 0, to: 64, by: 8) {
          entry.append(UInt8(truncatingIfNeeded: bytes.count >> shift))
        }
      } else {
        entry.append(UInt8(ascii: "="))
      }
      entry += bytes
      entry.append(10)
    }
    add("MESSAGE", record.message)
    add("PRIORITY", String(record.level.rawValue))
    add("SYSLOG_IDENTIFIER", "vestibuled")
    add("VESTIBULE_EVENT", record.event)
    for field in record.fields {
      let name = field.name.utf8.map { byte in
        ASCII.isAlpha(byte) ? byte & 0xDF : ASCII.isDigit(byte) ? byte : UInt8(ascii: "_")
      }
      add("VESTIBULE_" + String(decoding: name, as: UTF8.self), field.value.description)
    }
    return entry
  }

  private static func escaped(_ text: String, quoting: Bool) -> String {
    let bytes = text.utf8
    let isPlain = bytes.allSatisfy { $0 >= 32 && $0 != 127 && (!quoting || !" \"=\\".utf8.contains($0)) }
    if isPlain && !(quoting && text.isEmpty) { return text }
    var result: [UInt8] = quoting ? [UInt8(ascii: "\"")] : []
    for byte in bytes {
      switch byte {
      case 10: result += Array("\\n".utf8)
      case 0..<32, 127: result += Array("\\x".utf8) + [ASCII.hexDigit(byte >> 4), ASCII.hexDigit(byte & 15)]
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        if quoting { result.append(UInt8(ascii: "\\")) }
        result.append(byte)
      default: result.append(byte)
      }
    }
    if quoting { result.append(UInt8(ascii: "\"")) }
    return String(decoding: result, as: UTF8.self)
  }
}

/// Writes records to standard error, a line each.
package final class StandardErrorSink: LogSink {
  package init() {}

  package func write(_ record: borrowing Record, at wall: WallTime) {
    let line = Array((LogText.line(record, at: wall) + "\n").utf8)
    unsafe line.withUnsafeBufferPointer { bytes in
      if let start = bytes.baseAddress { unsafe clinux_write_standard_error(start, bytes.count) }
    }
  }
}

/// Hands records to systemd's journal with their fields; to standard error when it does not take them.
package final class JournalSink: LogSink {
  private let path: String
  private let instead = StandardErrorSink()

  package init(path: String = "/run/systemd/journal/socket") { self.path = path }

  package func write(_ record: borrowing Record, at wall: WallTime) {
    if sendDatagram(LogText.journalEntry(record), to: path) { return }
    instead.write(record, at: wall)
  }
}

/// The sink that fits how the process was started: the journal when systemd reads our standard error.
package func standardSink() -> any LogSink {
  environment("JOURNAL_STREAM") == nil ? StandardErrorSink() : JournalSink()
}

/// What systemd wants to hear from a service of `Type=notify`; silent when nobody listens.
package struct ServiceNotifier: Sendable {
  private let path: String?
  /// How often `alive` is expected at least: half of what systemd waits; nil without a watchdog.
  package let watchdogInterval: Interval?

  /// From `NOTIFY_SOCKET` and `WATCHDOG_USEC` unless given.
  package init(path: String? = nil, watchdogMicroseconds: Int64? = nil) {
    self.path = path ?? environment("NOTIFY_SOCKET")
    let limit = watchdogMicroseconds ?? environment("WATCHDOG_USEC").flatMap { Int64($0) }
    watchdogInterval = limit.flatMap { $0 > 0 ? .microseconds($0 / 2) : nil }
  }

  /// Everything listens.
  package func ready() { tell("READY=1") }
  package func alive() { tell("WATCHDOG=1") }
  package func stopping() { tell("STOPPING=1") }
  /// One line for `systemctl status`.
  package func status(_ text: String) { tell("STATUS=" + text.split(separator: "\n").joined(separator: " ")) }

  private func tell(_ text: String) {
    guard let path else { return }
    _ = sendDatagram(Array(text.utf8), to: path)
  }
}

/// The value of an environment variable; nil when it is unset, empty or unreasonably long.
package func environment(_ name: String) -> String? {
  var value = [CChar](repeating: 0, count: 4096)
  guard unsafe clinux_environment(name, &value, value.count) == 1 else { return nil }
  let bytes = value.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
  return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
}

private func sendDatagram(_ bytes: [UInt8], to path: String) -> Bool {
  unsafe bytes.withUnsafeBufferPointer { piece in
    guard let start = piece.baseAddress else { return false }
    return unsafe clinux_unix_send(path, start, piece.count) == 0
  }
}
