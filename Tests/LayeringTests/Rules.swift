/// One thing the tree does that the house forbids, and where.
struct Violation: Equatable, CustomStringConvertible {
  var path: String
  var line: Int
  var sentence: String

  var description: String { "\(path):\(line): \(sentence)" }
}

/// The rooms in the order of the manifest, with what each may import.
struct House {
  /// Name and imports, in the order of the table.
  var rooms: [(name: String, imports: [String])] = []

  /// Reads the calls of `room(…)` and `library(…)`, and the C targets, out of a manifest.
  init(manifest: String) {
    var rest = manifest[...]
    // The table begins where the rooms are listed, after the functions that make targets.
    if let start = rest.range(of: "let rooms: [Target]") { rest = rest[start.upperBound...] }
    if let end = rest.range(of: "let programs") { rest = rest[..<end.lowerBound] }
    for call in rest.calls(of: "room(") {
      let names = call.quotedWords
      guard let name = names.first else { continue }
      rooms.append((name, Array(names.dropFirst())))
    }
  }

  /// Rooms that wrap C, and so may write `unsafe`; `Wire` for its pool and slab.
  static let unsafeRooms: Set<String> = ["Wire", "Reactor", "Crypto", "Codecs", "Devices", "Store"]
  /// The programs may call the C library for their own files and terminal.
  static let programs: Set<String> = ["vestibule", "vestibuled"]

  /// Arrows that point up or were not declared.
  func importViolations(in files: [SourceTree.File]) -> [Violation] {
    var violations: [Violation] = []
    for (place, room) in rooms.enumerated() {
      for name in room.imports where !name.hasPrefix("C") || rooms.contains(where: { $0.name == name }) {
        if !rooms[..<place].contains(where: { $0.name == name }) {
          violations.append(
            Violation(
              path: "Package.swift", line: 0, sentence: "\(room.name) imports \(name), which comes later"))
        }
      }
    }
    let known = Set(rooms.map(\.name))
    for file in files {
      guard let room = rooms.first(where: { $0.name == file.room }) else { continue }
      for (number, line) in file.code.enumerated() {
        guard let name = Self.importedModule(line) else { continue }
        if name == "Foundation" || name == "FoundationEssentials" || name == "Dispatch" {
          violations.append(Violation(path: file.path, line: number + 1, sentence: "imports \(name)"))
        } else if known.contains(name), !room.imports.contains(name) {
          violations.append(
            Violation(path: file.path, line: number + 1, sentence: "\(room.name) may not import \(name)"))
        } else if name == "Glibc", !Self.unsafeRooms.contains(room.name) || room.name == "Wire" {
          violations.append(
            Violation(path: file.path, line: number + 1, sentence: "\(room.name) may not call the C library"))
        }
      }
    }
    return violations
  }

  static func importedModule(_ line: String) -> String? {
    var words = line.split(separator: " ").map(String.init)
    while let first = words.first,
      ["public", "package", "internal", "private", "fileprivate", "@preconcurrency"].contains(first)
    {
      words.removeFirst()
    }
    guard words.count >= 2, words[0] == "import" else { return nil }
    return words[1]
  }

  /// The word `unsafe` and its kin outside the rooms that may use them, and unproved ones inside.
  static func safetyViolations(in files: [SourceTree.File]) -> [Violation] {
    var violations: [Violation] = []
    for file in files where !programs.contains(file.room) {
      let lines = file.lines
      for (number, line) in file.code.enumerated() {
        let words = line.split { !($0.isLetter || $0.isNumber || $0 == "_" || $0 == "@") }
        if words.contains("unsafe"), !unsafeRooms.contains(file.room) {
          violations.append(
            Violation(path: file.path, line: number + 1, sentence: "unsafe outside its rooms"))
        }
        let unchecked = line.contains("@unchecked Sendable") || line.contains("nonisolated(unsafe)")
        if unchecked, !lines[number].contains("//"), number == 0 || !lines[number - 1].contains("//") {
          violations.append(
            Violation(path: file.path, line: number + 1, sentence: "no proof beside \(line)"))
        }
      }
    }
    return violations
  }

  /// Time and chance from anywhere but the two makers of the outside.
  static func determinismViolations(in files: [SourceTree.File]) -> [Violation] {
    let forbidden = [
      ".random(", "shuffled(", "shuffle(", "SystemRandomNumberGenerator", "UUID(", "Date(", "localtime",
      "ContinuousClock", "SuspendingClock", "clock_gettime", "gettimeofday", "getrandom", "arc4random",
      "hashValue", "Task {", "Task.sleep", "Task.detached", "async let", "await ", "AsyncStream",
      "@MainActor",
    ]
    var violations: [Violation] = []
    for file in files where file.room != "Reactor" && !programs.contains(file.room) {
      for (number, line) in file.code.enumerated() {
        for word in forbidden where line.contains(word) {
          violations.append(Violation(path: file.path, line: number + 1, sentence: "uses \(word)"))
        }
      }
    }
    return violations
  }
}

extension Substring {
  /// The argument text of every call that begins with `name`, up to its closing parenthesis.
  fileprivate func calls(of name: String) -> [Substring] {
    var found: [Substring] = []
    var rest = self
    while let start = rest.range(of: name) {
      var depth = 1
      var place = start.upperBound
      while place < rest.endIndex, depth > 0 {
        if rest[place] == "(" { depth += 1 }
        if rest[place] == ")" { depth -= 1 }
        place = rest.index(after: place)
      }
      found.append(rest[start.upperBound..<place])
      rest = rest[place...]
    }
    return found
  }

  /// The words between quotation marks.
  fileprivate var quotedWords: [String] {
    split(separator: "\"", omittingEmptySubsequences: false).enumerated().compactMap {
      $0 % 2 == 1 ? String($1) : nil
    }
  }

  /// The first place of `needle`; the standard library alone has no such search.
  fileprivate func range(of needle: String) -> Range<Index>? {
    var place = startIndex
    while place < endIndex {
      if self[place...].hasPrefix(needle) { return place..<index(place, offsetBy: needle.count) }
      place = index(after: place)
    }
    return nil
  }
}
