import Glibc

/// Small files of the daemon, read and written whole.
enum Files {
  /// The whole file, or the error number.
  static func read(_ path: String, limit: Int = 4 << 20) -> Result<[UInt8], FileFailure> {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return .failure(FileFailure(path: path, number: errno)) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while bytes.count <= limit {
      let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
      guard count >= 0 else { return .failure(FileFailure(path: path, number: errno)) }
      if count == 0 { return .success(bytes) }
      bytes += buffer[..<count]
    }
    return .failure(FileFailure(path: path, number: EFBIG))
  }

  /// Writes a file that only its owner reads, whole or not at all: a crash leaves the old one, and what cannot be written
  /// leaves nothing.
  static func write(_ bytes: [UInt8], to path: String) -> FileFailure? {
    let draft = path + ".new"
    let failure = write(bytes, draft: draft, to: path)
    if failure != nil { remove(draft) }
    return failure
  }

  private static func write(_ bytes: [UInt8], draft: String, to path: String) -> FileFailure? {
    let descriptor = unsafe open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return FileFailure(path: draft, number: errno) }
    var written = 0
    while written < bytes.count {
      let count = unsafe bytes[written...].withUnsafeBytes {
        unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
      }
      guard count > 0 else {
        let number = errno
        close(descriptor)
        return FileFailure(path: draft, number: number)
      }
      written += count
    }
    guard fsync(descriptor) == 0, close(descriptor) == 0, unsafe rename(draft, path) == 0 else {
      return FileFailure(path: path, number: errno)
    }
    return nil
  }

  static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
  /// What is not there is neither moved nor removed.
  static func move(_ path: String, to other: String) { _ = unsafe rename(path, other) }
  static func remove(_ path: String) { _ = unsafe unlink(path) }

  /// Makes a folder and those above it, for its owner alone.
  static func makeFolder(_ path: String) -> FileFailure? {
    var made = ""
    for part in path.split(separator: "/") {
      made += "/" + part
      if unsafe mkdir(made, 0o700) != 0, errno != EEXIST { return FileFailure(path: made, number: errno) }
    }
    return nil
  }

  /// The files in a folder; none when there is no such folder.
  static func list(_ path: String) -> [(name: String, bytes: Int)] {
    guard let folder = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(folder) }
    var found: [(name: String, bytes: Int)] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      var facts = stat()
      guard unsafe stat(path + "/" + name, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else { continue }
      found.append((name, Int(facts.st_size)))
    }
    return found.sorted { $0.name < $1.name }
  }

  /// A fresh folder for a demonstration.
  static func makeTemporaryFolder() -> Result<String, FileFailure> {
    let base = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    var template = Array((base + "/vestibule.XXXXXX").utf8CString)
    guard unsafe mkdtemp(&template) != nil else {
      return .failure(FileFailure(path: base, number: errno))
    }
    return .success(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
  }
}

/// A file that could not be used, in words.
struct FileFailure: Error, CustomStringConvertible {
  var path: String
  var number: Int32

  var isMissing: Bool { number == ENOENT }
  var description: String { "\(path): \(unsafe String(cString: strerror(number)))" }
}
