import CLinux
import Glibc
import HTTP
import Wire

/// What an HTTP server answered.
struct LoadReply {
  var status = 0
  var fields = HTTPFields()
  var body: [UInt8] = []
  var text: String { String(decoding: body, as: UTF8.self) }
}

/// One HTTP request of the load, on a connection of its own to 127.0.0.1.
@safe  // Buffers live for one call each.
final class LoadRequest {
  private let loop: LoadLoop
  private let descriptor: Int32
  private var place = -1
  private var connection: HTTPClientConnection
  private var unsent: [UInt8]
  private var reply = LoadReply()
  private var whenDone: ((LoadReply?) -> Void)?
  /// Called with parts of a body that does not end.
  private let whenPart: (([UInt8]) -> Void)?
  private var keptAlive: LoadRequest?

  /// Sends it. `then` gets the whole reply, nil when there is none; with `part` the body is told bit by bit.
  @discardableResult
  init(
    _ loop: LoadLoop, _ method: HTTPMethod, _ target: String, port: UInt16,
    from address: String = "127.0.0.1",
    fields: [(String, String)] = [], body: String = "", part: (([UInt8]) -> Void)? = nil,
    then: @escaping (LoadReply?) -> Void
  ) {
    self.loop = loop
    whenDone = then
    whenPart = part
    var limits = HTTPClientLimits()
    // Long polls and event streams are silent for long.
    limits.headTime = nil
    limits.bodyStall = nil
    connection = HTTPClientConnection(limits: limits)
    var lines: HTTPFields = ["Host": "127.0.0.1:\(port)"]
    for (name, value) in fields { lines.append(name, value) }
    if part == nil { lines.append("Connection", "close") }
    connection.send(HTTPRequest(method, target, fields: lines), body: Array(body.utf8), now: LoadLoop.now)
    unsent = connection.takeOutput()
    descriptor = startedConnection(to: port, from: address)
    keptAlive = self
    guard descriptor >= 0 else {
      finish(nil)
      return
    }
    place = loop.watch(descriptor, writable: true) { [unowned self] in go() }
  }

  /// Of the head, once it came; 0 before.
  var status: Int { reply.status }

  /// Gives up; nothing follows.
  func cancel() {
    whenDone = nil
    finish(nil)
  }

  private func finish(_ reply: LoadReply?) {
    guard keptAlive != nil else { return }
    if place >= 0 { loop.forget(descriptor, place) }
    if descriptor >= 0 { close(descriptor) }
    let then = whenDone
    whenDone = nil
    keptAlive = nil
    then?(reply)
  }

  private func go() {
    if !unsent.isEmpty {
      let count = unsafe unsent.withUnsafeBufferPointer {
        unsafe clinux_write(descriptor, $0.baseAddress, $0.count)
      }
      if count > 0 { unsent.removeFirst(Int(count)) }
      if unsent.isEmpty { loop.watchReading(descriptor, place) }
    }
    var room = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe clinux_read(descriptor, &room, room.count)
      // Nothing now, or the connection is still being made.
      if count == -11 || count == -107 { return }
      if count > 0 {
        connection.receive(room.span.extracting(0..<Int(count)), now: LoadLoop.now)
      } else {
        connection.receivedEnd()
      }
      guard take() else { return }
      if count <= 0 { return finish(nil) }
    }
  }

  /// False once it is over.
  private func take() -> Bool {
    while let event = connection.next() {
      switch event {
      case .response(let head):
        reply.status = head.status
        reply.fields = head.fields
      case .body(let bytes):
        if let whenPart { whenPart(bytes) } else { reply.body += bytes }
      case .end:
        finish(reply)
        return false
      case .failed:
        finish(nil)
        return false
      }
    }
    return true
  }
}

extension LoadLoop {
  /// Asks and waits for the whole reply. Strangers are paced: what is turned away unread is asked again.
  func ask(
    _ method: HTTPMethod, _ target: String, port: UInt16, from address: String = "127.0.0.1",
    fields: [(String, String)] = [], body: String = ""
  ) -> LoadReply {
    for _ in 0..<100 {
      var reply: LoadReply??
      LoadRequest(self, method, target, port: port, from: address, fields: fields, body: body) {
        reply = .some($0)
      }
      guard run(within: 10, until: { reply != nil }) else { break }
      if let answer = reply ?? nil { return answer }
      run(seconds: 0.05)
    }
    fail("\(method.name) \(target) was not answered")
  }
}

/// Begins a connection from `address` to 127.0.0.1:`port`; negative when there can be none.
private func startedConnection(to port: UInt16, from address: String) -> Int32 {
  let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
  var local = socketAddress(address, 0)
  var remote = socketAddress("127.0.0.1", port)
  let size = socklen_t(MemoryLayout<sockaddr_in>.size)
  _ = unsafe withUnsafePointer(to: &local) { pointer in
    unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(number, $0, size) }
  }
  let status = unsafe withUnsafePointer(to: &remote) { pointer in
    unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe connect(number, $0, size) }
  }
  guard status == 0 || errno == EINPROGRESS else {
    close(number)
    return -1
  }
  return number
}
