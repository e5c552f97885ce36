import Glibc
import Reactor
import Wire

@main
struct Program {
  static func main() {
    let words = Array(CommandLine.arguments.dropFirst())
    do throws(CommandFailure) {
      switch try Invocation.understand(words, version: version) {
      case .say(let text): Terminal.say(text)
      case .run(let invocation):
        let path = invocation.options["socket"] ?? environment("VESTIBULE_SOCKET") ?? Verb.defaultSocket
        var options = Reactor.Options()
        // A call that is interrupted hangs up first.
        options.takesSignals = invocation.verb == .ring
        let client = ControlClient(reactor: Reactor(options), path: path)
        try Commands(client: client, invocation: invocation).run()
      }
    } catch {
      for line in error.lines { Terminal.complain("vestibule: \(line)") }
      exit(error.status)
    }
  }

  static let version = "0.1.0"
}

extension Reactor {
  /// Something nobody else will come up with: 32 hexadecimal digits.
  func makeKey() -> String {
    var random = makeRandom()
    return random.hex(bytes: 16)
  }
}
