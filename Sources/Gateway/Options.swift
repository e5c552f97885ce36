/// What the daemon was asked on its command line.
package struct Options: Equatable, Sendable {
  package enum Task: Equatable, Sendable {
    case serve
    /// Validate the configuration and exit.
    case check
    case version
    case help
    /// Drive every configured line to rest and exit: what the unit runs after a crash.
    case releaseLines
  }

  package var task = Task.serve
  /// Nil means the default path, which may be absent.
  package var configuration: String?
  package var state: String?
  package var demo = false
  package var acceptNewDomain = false

  package static let defaultConfiguration = "/etc/vestibule/vestibule.json5"
  package static let defaultState = "/var/lib/vestibule"

  package static let usage = """
    usage: vestibuled [--config FILE] [--state DIR] [--demo] [--check] [--accept-new-domain] [--version]
      --config FILE         the configuration (default \(defaultConfiguration); none: built-in defaults)
      --state DIR           where it keeps its database and keys (default $STATE_DIRECTORY, else \(defaultState))
      --demo                serve the built-in demo building, with state in a temporary directory
      --check               validate the configuration and exit
      --accept-new-domain   go on although the domain, and so every stored secret, has changed
      --release-lines       drive every configured door line to rest and exit
      --version             print the version and exit
    """

  package struct Fault: Error, Equatable {
    package var sentence: String
  }

  /// Reads the words after the program's name.
  package init(_ words: [String]) throws(Fault) {
    var rest = words[...]
    while let word = rest.popFirst() {
      switch word {
      case "--config": configuration = try Options.value(of: word, &rest)
      case "--state": state = try Options.value(of: word, &rest)
      case "--demo": demo = true
      case "--check": task = .check
      case "--accept-new-domain": acceptNewDomain = true
      case "--release-lines": task = .releaseLines
      case "--version": task = .version
      case "--help", "-h": task = .help
      default: throw Fault(sentence: "unknown option \(word)")
      }
    }
  }

  private static func value(of option: String, _ rest: inout ArraySlice<String>) throws(Fault) -> String {
    guard let value = rest.popFirst(), !value.isEmpty else {
      throw Fault(sentence: "\(option) needs a value")
    }
    return value
  }
}
