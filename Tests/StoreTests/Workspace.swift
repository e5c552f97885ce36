import Directory
import Glibc
import Store
import Wire

/// A directory of its own for one test, removed at its end.
final class Workspace {
  let folder: String
  var path: String { folder + "/state.db" }

  init(_ name: String = #function) {
    var letters = name.utf8.filter { ASCII.isAlpha($0) || ASCII.isDigit($0) }
    letters.append(contentsOf: "-\(getpid())".utf8)
    folder = "/tmp/vestibule-store-" + String(decoding: letters, as: UTF8.self)
    remove()
    unsafe mkdir(folder, 0o700)
  }

  deinit { remove() }

  private func remove() {
    for name in Workspace.files { unsafe unlink(folder + "/" + name) }
    unsafe rmdir(folder)
  }

  private static let files = [
    "state.db", "state.db-wal", "state.db-shm", "state.db-journal", "copy.db", "copy.db-wal", "acknowledged",
  ]

  static func read(_ path: String) -> [UInt8] {
    let file = unsafe open(path, O_RDONLY)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = unsafe Glibc.read(file, &piece, piece.count)
      if count <= 0 { return bytes }
      bytes += piece[..<count]
    }
  }

  static func write(_ bytes: [UInt8], to path: String) {
    let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    precondition(file >= 0, "cannot write \(path)")
    defer { close(file) }
    let count = unsafe Glibc.write(file, bytes, bytes.count)
    precondition(count == bytes.count, "cannot write \(path)")
  }
}

/// Stands in for SHA-256, which this room does not have: 64-bit FNV-1a.
func digest(_ bytes: [UInt8]) -> [UInt8] {
  var value: UInt64 = 0xcbf2_9ce4_8422_2325
  for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
  return (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * UInt64($0))) }
}

func at(_ seconds: Int64) -> WallTime { WallTime(seconds: 1_795_000_000 + seconds) }

func binding(_ username: String, _ key: String = "a", expires: Int64 = 3600) -> BindingRow {
  BindingRow(
    username: username, key: key, credential: 7,
    contact: "<sip:\(username)@192.0.2.7:5060;transport=udp>;q=0.5",
    transport: .udp, local: Endpoint("192.0.2.1:5060")!, remote: Endpoint("[2001:db8::7]:40000")!,
    instance: "urn:uuid:1", regID: 1, path: ["<sip:p1;lr>", "<sip:p2;lr>"], callID: "call@host",
    cseq: 4_294_967_295,
    userAgent: "Akuvox C315", registered: at(0), expires: at(expires))
}

func audit(after tail: AuditTail, _ subject: String = "entrance", _ result: String = "opened") -> AuditRow {
  AuditRow(
    after: tail, at: at(tail.sequence), actor: "panel401", action: "door.open", subject: subject,
    result: result,
    hash: digest)
}

func call(_ number: Int, legs: Int = 2) -> CallRow {
  CallRow(
    id: "call\(number)", from: "intercom-main", target: "401", unit: "401", station: "intercom-main",
    started: at(Int64(number)), answered: at(Int64(number) + 5), answeredBy: "panel401",
    ended: at(Int64(number) + 60), end: "answered", isOneWay: true, isSilent: false, callID: "x@y",
    legs: (0..<legs).map {
      CallRow.Leg(
        account: "leg\($0)", state: "answered", code: 200, codec: $0 == 0 ? "PCMA/8000" : nil,
        packetsIn: 3000,
        packetsOut: 2999, lost: $0, jitter: 4, foreign: 7, roundTrip: $0 == 0 ? nil : 12,
        opinion: $0 == 0 ? nil : 437)
    })
}

extension StoreChange {
  static func demo() -> StoreChange {
    .directory(Building.demo(), passwords: [], at: at(0), by: "local:root")
  }
}

/// Starts a thread that kills the whole process, in the midst of whatever it does then.
func killThisProcess(after microseconds: Int) {
  let delay = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
  unsafe delay.initialize(to: UInt32(microseconds))
  var thread = pthread_t()
  let status = unsafe pthread_create(
    &thread, nil,
    { argument in
      usleep(unsafe argument!.assumingMemoryBound(to: UInt32.self).pointee)
      kill(getpid(), SIGKILL)
      return nil
    }, delay)
  precondition(status == 0, "no thread could be made")
}
