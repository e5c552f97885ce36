import API
import Directory
import Gateway
import JSON
import Wire

enum FileHarness {
  static func json(_ bytes: [UInt8]) {
    for dialect in [JSONDialect.json, .json5] {
      guard let node = try? JSONNode(parsing: bytes, dialect: dialect, limits: .message) else { continue }
      for style in [JSONStyle.compact, .pretty] {
        let written = node.value.bytes(style)
        guard let again = try? JSONNode(parsing: written) else {
          preconditionFailure("a written value does not parse")
        }
        precondition(again.value.bytes(style) == written, "a value changes when it is written twice")
      }
      if let canonical = node.value.canonical() {
        guard let again = try? JSONNode(parsing: canonical) else {
          preconditionFailure("a canonical value does not parse")
        }
        // A double beyond 2^53 reads back as a whole number that other readers would round, which has none.
        precondition(
          again.value.canonical().map { $0 == canonical } ?? true, "a canonical value is not canonical")
      }
    }
  }

  static func directory(_ bytes: [UInt8]) {
    let building: Building
    do throws(DirectoryFault) {
      (building, _) = try Building.read(bytes, file: "fuzz")
    } catch {
      precondition(!error.errors.isEmpty, "refused without a word")
      return
    }
    let (bare, _) = building.withoutPasswords()
    let written = bare.exportedText
    guard let (again, _) = try? Building.read(Array(written.utf8)) else {
      preconditionFailure("an exported directory does not read")
    }
    precondition(again.exportedText == written, "an exported directory changes when it is read back")
  }

  static func configuration(_ bytes: [UInt8]) {
    let report = JSONReport(file: "fuzz")
    let one = Configuration(parsing: bytes, report: report)
    precondition(
      one == Configuration(parsing: bytes, report: JSONReport(file: "fuzz")), "read twice, it differs")
    for error in report.sortedErrors { precondition(error.place.line >= 1, "an error without a place") }
  }

  static func zone(_ bytes: [UInt8]) {
    let zones = [Zone(tzif: bytes), Zone(rule: String(decoding: bytes, as: UTF8.self))]
    for zone in zones {
      guard let zone else { continue }
      for seconds in [Int64(0), 1_700_000_000, -1_000_000_000, 4_000_000_000, 9_000_000_000, -9_000_000_000] {
        let local = zone.localTime(at: WallTime(seconds: seconds))
        precondition((0..<1440).contains(local.minute) && local.date.isReal, "no clock shows this")
      }
    }
  }

  /// A body of `/api/v1`, read as everything that a client may send, and as what a gateway may answer.
  static func api(_ bytes: [UInt8]) {
    request(bytes, EnrollRequest.self)
    request(bytes, RingRequest.self)
    request(bytes, DoNotDisturb.self)
    request(bytes, ApplyReply.self)
    request(bytes, StatusView.self)
    _ = try? CallView.list(reply: bytes)
    _ = try? AccountView.list(reply: bytes)
    _ = try? StationView.list(reply: bytes)
  }

  private static func request<Value: APIValue>(_ bytes: [UInt8], _: Value.Type) {
    guard let value = try? Value(request: bytes) else { return }
    guard let again = try? Value(request: value.json.bytes()) else {
      preconditionFailure("a written \(Value.self) does not read")
    }
    precondition(again.json == value.json, "a \(Value.self) changes when it is written")
  }
}
