internal import CLinux
import Wire

/// Reads a zone of the host's tz database; nil when it has no such name.
func readZone(_ name: String) -> Zone? {
  let parts = name.split(separator: "/", omittingEmptySubsequences: false)
  // A name is a path below the database: never one that leads out of it.
  let isName = parts.allSatisfy { part in
    !part.isEmpty && part != "." && part != ".."
      && part.utf8.allSatisfy { ASCII.isAlpha($0) || ASCII.isDigit($0) || "+-_.".utf8.contains($0) }
  }
  guard isName, name.utf8.count < 128 else { return nil }
  guard let bytes = readFile("/usr/share/zoneinfo/" + name, limit: 65_536) else {
    // A host without the database still knows the one zone that needs none.
    return name == "UTC" || name == "Etc/UTC" ? .utc : nil
  }
  return Zone(tzif: bytes)
}

/// A whole small file; nil when it cannot be read or is longer than `limit`.
func readFile(_ path: String, limit: Int) -> [UInt8]? {
  var bytes = [UInt8](repeating: 0, count: limit + 1)
  let count = unsafe clinux_read_file(path, &bytes, bytes.count)
  guard count >= 0, count <= limit else { return nil }
  return Array(bytes.prefix(Int(count)))
}
