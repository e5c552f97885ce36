/// One thing the tree does that the house forbids, and where.
struct Violation: Equatable, CustomStringConvertible {
  var path: String
  var line: Int
  var sentence: String

  var description: String { "\(path):\(line): \(sentence)" }
}

/// The rooms in the order of the manifest, with what each may import.
struct House: Sendable {
  /// Name and imports, in the order of the table.
  var rooms: [(name: String, imports: [String])] = []

  /// Reads the calls of `room(…)` and `library(…)`, and the C targets, out of a manifest.
  init(manifest: String) {
    var rest = manifest[...]
    // The table begins where the rooms are listed, after the functions that make targets.
    if let start = rest.range(of: "let rooms: [Target]") { rest = rest[start.upperBound...] }
    if let end = rest.range(of: "let programs") { rest = rest[..<end.lowerBound] }
    for call in rest.calls(of: "room(") {
      guard let name = call.quotedWords.first else { continue }
      // The first list names the imports; settings may follow it.
      let list = call.drop { $0 != "[" }.prefix { $0 != "]" }
      rooms.append((name, list.quotedWords))
    }
  }

  /// Rooms that wrap C, and so may write `unsafe`; `Wire` for its pool and slab.
  static let unsafeRooms: Set<String> = [
    "Wire", "Reactor", "Crypto", "Codecs", "Devices", "Store", "Provisioning",
  ]
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
        for word in forbidden where line.says(word) {
          violations.append(Violation(path: file.path, line: number + 1, sentence: "uses \(word)"))
        }
      }
    }
    return violations
  }
}

extension House {
  /// Walks through a dictionary or a set whose order could reach an output, a log or a draw: the order differs from
  /// run to run. Allowed when the statement sorts, or a comment at most two lines above says why the `order` does
  /// not matter.
  static func orderViolations(in files: [SourceTree.File]) -> [Violation] {
    var violations: [Violation] = []
    for file in files where !programs.contains(file.room) {
      let code = file.code
      let names = unorderedNames(in: code)
      if names.isEmpty { continue }
      let lines = file.lines
      for (number, line) in code.enumerated() where walks(line, through: names) {
        let statement = code[number..<min(code.count, number + 3)].joined(separator: " ")
        if statement.contains("sorted") { continue }
        let comment = lines[max(0, number - 2)...number].contains {
          $0.contains("//") && $0.contains("order")
        }
        if comment { continue }
        violations.append(
          Violation(path: file.path, line: number + 1, sentence: "walks through an unordered collection"))
      }
    }
    return violations
  }

  /// Variables of a file that are declared as dictionaries or sets.
  private static func unorderedNames(in code: [String]) -> Set<String> {
    var names: Set<String> = []
    for line in code {
      let words = line.split(separator: " ").map(String.init)
      guard let place = words.firstIndex(where: { $0 == "var" || $0 == "let" }), place + 2 < words.count
      else {
        continue
      }
      let rest = words[(place + 1)...].joined(separator: " ")
      let name = String(rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" })
      let kind = rest.dropFirst(name.count)
      let isSet = kind.hasPrefix(": Set<") || kind.hasPrefix(" = Set<") || kind.hasPrefix(" = Set(")
      let isEmptyDictionary = kind.hasPrefix(" = [:]")
      // `: [Key: Value]`, the colon before any closing bracket.
      var isDictionary = false
      if kind.hasPrefix(": [") {
        var depth = 0
        for character in kind.dropFirst(2) {
          if character == "[" || character == "(" { depth += 1 }
          if character == "]" || character == ")" { depth -= 1 }
          if depth == 0 { break }
          if character == ":", depth == 1 { isDictionary = true }
        }
      }
      if isSet || isEmptyDictionary || isDictionary { names.insert(name) }
    }
    return names
  }

  private static func walks(_ line: String, through names: Set<String>) -> Bool {
    // A subscript is a look-up, and what goes into a set loses its order anyway.
    let marked = line.replacing("[", with: ".subscript ").replacing("Set(", with: "Set.")
    let words = marked.split { !($0.isLetter || $0.isNumber || $0 == "_" || $0 == ".") }.map(String.init)
    for (place, word) in words.enumerated() {
      var parts = word.split(separator: ".").map(String.init)
      if parts.first == "self" { parts.removeFirst() }
      guard let name = parts.first, names.contains(name) else { continue }
      let after = Array(parts.dropFirst())
      let view = after.first == "values" || after.first == "keys"
      let verb = view ? after.dropFirst().first : after.first
      if let verb, ["map", "flatMap", "compactMap", "forEach", "joined"].contains(verb) { return true }
      // `for … in name`, and nothing that makes something else of it.
      if place > 0, words[place - 1] == "in", words.contains("for"), view ? after.count == 1 : after.isEmpty {
        return true
      }
    }
    return false
  }
}

extension String {
  /// Whether a word stands here on its own, not as the end of a longer name.
  fileprivate func says(_ word: String) -> Bool {
    let line = Array(utf8)
    let word = Array(word.utf8)
    func isName(_ byte: UInt8) -> Bool {
      byte | 0x20 >= 97 && byte | 0x20 <= 122 || byte >= 48 && byte <= 57 || byte == UInt8(ascii: "_")
    }
    guard line.count >= word.count else { return false }
    for place in 0...line.count - word.count where line[place] == word[0] {
      guard line[place..<place + word.count].elementsEqual(word) else { continue }
      if place == 0 || !isName(word[0]) || !isName(line[place - 1]) { return true }
    }
    return false
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
