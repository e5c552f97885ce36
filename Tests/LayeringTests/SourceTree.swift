import Glibc

/// The sources of this checkout, as text.
struct SourceTree {
  /// The folder that holds `Package.swift`.
  static let root: String = {
    var parts = #filePath.split(separator: "/")
    parts.removeLast(3)
    return "/" + parts.joined(separator: "/")
  }()

  struct File: Sendable {
    /// Path from the root, such as `Sources/Wire/Slab.swift`.
    let path: String
    let text: String
    /// The lines with comments and the contents of string literals taken out.
    let code: [String]

    init(path: String, text: String) {
      self.path = path
      self.text = text
      code = SourceTree.code(of: text)
    }

    /// The room or test folder the file lies in: the second part of its path.
    var room: String { String(path.split(separator: "/")[1]) }
    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
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
    let quote = UInt8(ascii: "\"")
    let slash = UInt8(ascii: "/")
    var inText = false  // a multi-line literal
    return text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { line in
      let line = Array(line)
      var marks = 0
      var place = 0
      while place + 2 < line.count {
        let isMark = line[place] == quote && line[place + 1] == quote && line[place + 2] == quote
        marks += isMark ? 1 : 0
        place += isMark ? 3 : 1
      }
      if marks > 0 {
        if marks % 2 == 1 { inText.toggle() }
        return ""
      }
      if inText { return "" }
      var result: [UInt8] = []
      var isQuoted = false
      var previous = UInt8(ascii: " ")
      for byte in line {
        if byte == quote, previous != UInt8(ascii: "\\") {
          isQuoted.toggle()
        } else if !isQuoted {
          if byte == slash, previous == slash {
            result.removeLast()
            break
          }
          result.append(byte)
        }
        previous = byte
      }
      return String(decoding: result, as: UTF8.self)
    }
  }
}
