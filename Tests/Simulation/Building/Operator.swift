internal import JSON
import Simulation
import Wire

/// Whoever runs `vestibule` on the gateway's own machine: each command one connection to the control socket.
final class Operator: SimulatedPeer {
  /// What came of a command: nil when the connection broke before an answer, and nobody knows.
  struct Answer {
    var status: Int
    var body: [UInt8]
    var json: JSONNode? { try? JSONNode(parsing: body, dialect: .json, file: "answer") }
  }
  private struct Command {
    var request: [UInt8]
    var answer: [UInt8] = []
    /// An event stream: it has no end, and every byte is looked at as it comes.
    var isEndless = false
    var then: (Answer?) -> Void
  }

  private let world: SimulatedWorld
  private let ledger: Ledger
  private let path: String
  private var isFollowing = false
  private var commands: [SocketID: Command] = [:]
  var dice: Random

  init(_ world: SimulatedWorld, _ ledger: Ledger, path: String) {
    self.world = world
    self.ledger = ledger
    self.path = path
    dice = world.makeRandom()
  }

  func ask(_ method: String, _ target: String, _ body: String = "", then: @escaping (Answer?) -> Void) {
    let me = LocalPeer(processID: 7, userID: 0, user: "root", isPermitted: true)
    guard let stream = try? world.connect(path: path, as: me) else { return then(nil) }
    let head =
      "\(method) \(target) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      + "Content-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n"
    commands[stream] = Command(request: Array((head + body).utf8), then: then)
    world.after(.seconds(15)) { [weak self] in
      guard let self, self.commands[stream] != nil else { return }
      self.world.close(stream, flushing: false)
      self.finish(stream)
    }
  }

  /// Follows the event stream until it breaks.
  func follow() {
    let me = LocalPeer(processID: 7, userID: 0, user: "root", isPermitted: true)
    guard !isFollowing, let stream = try? world.connect(path: path, as: me) else { return }
    isFollowing = true
    let head = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    commands[stream] = Command(request: Array(head.utf8), isEndless: true) { [weak self] _ in
      self?.isFollowing = false
    }
  }

  func connected(_ stream: SocketID) {
    guard let command = commands[stream] else { return }
    _ = world.write(command.request.span, on: stream)
  }

  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {
    for index in bytes.indices { commands[stream]?.answer.append(bytes[index]) }
    if commands[stream]?.isEndless == true {
      let text = commands[stream]!.answer
      ledger.count("events read")
      ledger.inspect(early: text, in: "the event stream")
      // A secret may come in two pieces.
      commands[stream]!.answer = Array(text.suffix(64))
      return
    }
    guard let answer = commands[stream]?.answer, let end = SIPText.headEnd(answer),
      let head = SIPText(answer)
    else { return }
    guard answer.count - end - 2 >= Int(head["content-length"]) ?? 0 else { return }
    world.close(stream, flushing: false)
    finish(stream)
  }

  func closed(_ stream: SocketID, _ failure: NetworkFailure) { finish(stream) }

  private func finish(_ stream: SocketID) {
    guard let command = commands.removeValue(forKey: stream) else { return }
    guard let end = SIPText.headEnd(command.answer), let head = SIPText(command.answer) else {
      return command.then(nil)
    }
    // "HTTP/1.1 200 OK"
    let status = Int(head.start.dropFirst(9).prefix(3)) ?? 0
    command.then(Answer(status: status, body: Array(command.answer[(end + 2)...])))
  }
}
