import Glibc

/// Files and standard streams, blocking.
enum Terminal {
  static func say(_ text: String) { write(Array(text.utf8), to: 1) }
  static func say(_ bytes: [UInt8]) { write(bytes, to: 1) }
  static func complain(_ line: String) { write(Array((line + "\n").utf8), to: 2) }

  /// Whether people read standard output as it comes.
  static var isTerminal: Bool { isatty(1) == 1 }

  /// A reader that went away (`| head`) ends the program quietly.
  private static func write(_ bytes: [UInt8], to descriptor: Int32) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { exit(descriptor == 1 ? 1 : 0) }
      rest = rest.dropFirst(count)
    }
  }

  /// The bytes of a file, of standard input for `-`.
  static func read(_ path: String, limit: Int) throws(CommandFailure) -> [UInt8] {
    func failure() -> CommandFailure {
      let reason = unsafe String(cString: strerror(errno))
      return .failed(["cannot read \(path): \(reason)"])
    }
    let descriptor = path == "-" ? 0 : unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure() }
    defer { if descriptor > 0 { close(descriptor) } }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw failure() }
      if count == 0 { return bytes }
      bytes += buffer[..<count]
      guard bytes.count <= limit else { throw .failed(["\(path) is longer than \(limit) bytes"]) }
    }
  }

  /// Writes a file that its owner alone reads, where none may be yet.
  static func write(_ bytes: [UInt8], to path: String) throws(CommandFailure) {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    func failure() -> CommandFailure {
      let reason = unsafe String(cString: strerror(errno))
      return .failed(["cannot write \(path): \(reason)"])
    }
    guard descriptor >= 0 else { throw failure() }
    defer { close(descriptor) }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw failure() }
      rest = rest.dropFirst(count)
    }
    guard fsync(descriptor) == 0 else { throw failure() }
  }

  /// Columns as wide as their widest cell, two blanks apart.
  static func table(_ titles: [String], _ rows: [[String]]) -> String {
    var widths = titles.map(\.count)
    for row in rows {
      for (place, cell) in row.enumerated() { widths[place] = max(widths[place], cell.count) }
    }
    func line(_ cells: [String]) -> String {
      var text = ""
      for (place, cell) in cells.enumerated() {
        text += cell
        if place < cells.count - 1 { text += String(repeating: " ", count: widths[place] + 2 - cell.count) }
      }
      while text.last == " " { text.removeLast() }
      return text + "\n"
    }
    return line(titles) + rows.map(line).joined()
  }
}
