import Glibc

/// The sources of this checkout, as text.
struct SourceTree {
  /// The folder that holds `Package.swift`.
  static let root: String = {
    var parts = #filePath.split(separator: "/")
    parts.removeLast(3)
    return "/" + parts.joined(separator: "/")
  }()

  struct File {
    /// Path from the root, such as `Sources/Wire/Slab.swift`.
    var path: String
    var text: String

    /// The room or test folder the file lies in: the second part of its path.
    var room: String { String(path.split(separator: "/")[1]) }
    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
    /// The lines with comments and the contents of string literals taken out.
    var code: [String] { SourceTree.code(of: text) }
  }

  /// Every Swift file below a folder, in order of path.
  static func swiftFiles(in folder: String) -> [File] {
    paths(in: folder).filter { $0.hasSuffix(".swift") }.map { File(path: $0, text: text(of: $0)) }
  }

  static func text(of path: String) -> String {
    guard let file = unsafe fopen(root + "/" + path, "r") else { return "" }
    defer { unsafe fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe fread(&buffer, 1, buffer.count, file)
      if count == 0 { break }
      bytes += buffer[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func paths(in folder: String) -> [String] {
    guard let directory = unsafe opendir(root + "/" + folder) else { return [] }
    defer { unsafe closedir(directory) }
    var found: [String] = []
    while let entry = unsafe readdir(directory) {
      let isFolder = unsafe entry.pointee.d_type == UInt8(DT_DIR)
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
        unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if name.hasPrefix(".") { continue }
      found += isFolder ? paths(in: folder + "/" + name) : [folder + "/" + name]
    }
    return found.sorted()
  }

  /// Line by line, without comments and without what stands between quotation marks on one line.
  static func code(of text: String) -> [String] {
    var inText = false  // a multi-line literal
    return text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      if line.contains("\"\"\"") {
        let opens = line.split(separator: "\"\"\"", omittingEmptySubsequences: false).count % 2 == 0
        if opens { inText.toggle() }
        return ""
      }
      if inText { return "" }
      var result = ""
      var quoted = false
      var previous: Character = " "
      for character in line {
        if character == "\"", previous != "\\" {
          quoted.toggle()
        } else if !quoted {
          if character == "/", previous == "/" {
            result.removeLast()
            break
          }
          result.append(character)
        }
        previous = character
      }
      return result
    }
  }
}
