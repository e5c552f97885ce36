/// Why a command did not do what it was asked, and the exit status that says so.
enum CommandFailure: Error, Equatable {
  /// 64: the words make no command.
  case usage(String)
  /// 69: nobody answers at the control socket.
  case unreachable(String)
  /// 77: somebody answers and refuses us.
  case notAllowed(String)
  /// 1: everything else. Each line is printed.
  case failed([String])

  var status: Int32 {
    switch self {
    case .usage: 64
    case .unreachable: 69
    case .notAllowed: 77
    case .failed: 1
    }
  }

  var lines: [String] {
    switch self {
    case .usage(let line), .unreachable(let line), .notAllowed(let line): [line]
    case .failed(let lines): lines
    }
  }
}

/// The words of a command line, understood.
struct Invocation: Equatable {
  var verb: Verb
  var arguments: [String] = []
  /// By name without dashes; a switch has the value "".
  var options: [String: String] = [:]

  var isJSON: Bool { options["json"] != nil }
  func has(_ name: String) -> Bool { options[name] != nil }

  enum Understood: Equatable {
    case run(Invocation)
    /// Text for standard output.
    case say(String)
  }

  /// Understands the words after the program's name. Options may stand anywhere; `--` ends them.
  static func understand(_ words: [String], version: String) throws(CommandFailure) -> Understood {
    var verb: Verb?
    var plain: [String] = []
    var options: [String: String] = [:]
    var rest = words[...]
    var isOnlyPlain = false
    while let word = rest.popFirst() {
      if !isOnlyPlain, word == "--" {
        isOnlyPlain = true
      } else if !isOnlyPlain, word == "-h" {
        options["help"] = ""
      } else if !isOnlyPlain, word.hasPrefix("--") {
        let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        if name == "version", verb == nil { return .say("vestibule \(version)\n") }
        let known = Verb.commonOptions + (verb?.options ?? [])
        guard let option = known.first(where: { $0.name == name }) else {
          throw .usage(
            "unknown option --\(name); try `vestibule\(verb.map { " \($0.rawValue)" } ?? "") --help`")
        }
        if let value = option.value {
          guard let given = parts.count == 2 ? String(parts[1]) : rest.popFirst(), !given.isEmpty else {
            throw .usage("--\(name) needs \(value)")
          }
          options[name] = given
        } else {
          guard parts.count == 1 else { throw .usage("--\(name) takes no value") }
          options[name] = ""
        }
      } else if verb == nil {
        guard let known = Verb(rawValue: word) else {
          throw .usage("unknown verb \"\(word)\"; `vestibule --help` lists them")
        }
        verb = known
      } else {
        plain.append(word)
      }
    }
    guard let verb else {
      if options["help"] != nil { return .say(Verb.overview) }
      throw .usage("no verb given; `vestibule --help` lists them")
    }
    if options["help"] != nil { return .say(verb.help) }
    guard verb.accepts(plain) else {
      let forms = verb.forms.map { "`vestibule \(verb.rawValue)\($0.isEmpty ? "" : " \($0)")`" }
      throw .usage("usage: \(forms.joined(separator: " or "))")
    }
    return .run(Invocation(verb: verb, arguments: plain, options: options))
  }
}

extension Verb {
  /// Whether these arguments have one of its forms.
  func accepts(_ arguments: [String]) -> Bool {
    guard arguments.allSatisfy({ !$0.isEmpty }) else { return false }
    switch self {
    case .apply, .enroll, .ring, .open, .backup, .restore: return arguments.count == 1
    case .maintenance: return arguments.count == 1 && ["on", "off"].contains(arguments[0])
    case .revoke: return arguments.count == 1 || arguments.count == 2
    case .dnd: return arguments.count == 2 && ["on", "off"].contains(arguments[0])
    case .calls: return arguments.isEmpty || arguments.count == 2 && arguments[0] == "hangup"
    case .bans: return arguments.isEmpty || arguments.count == 2 && arguments[0] == "lift"
    case .export, .units, .accounts, .stations, .cameras, .doors, .cdr, .events, .doctor, .status,
      .supportBundle:
      return arguments.isEmpty
    }
  }
}
