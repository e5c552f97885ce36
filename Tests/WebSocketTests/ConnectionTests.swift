import Testing
import WebSocket
import Wire

struct ConnectionTests {
  @Test(arguments: [WebSocketRole.server, .client])
  func aFrameOfTheWrongSideIsRefused(_ role: WebSocketRole) {
    let endpoint = EchoEndpoint(role)
    endpoint.receive(Frame.text("hi").bytes(masked: role == .client))
    #expect(endpoint.frames.map(\.code) == [1002])
    #expect(endpoint.endings == [.failed(role == .server ? .notMasked : .masked)])
  }

  @Test func aClientsFramesAreEachUnderAKeyOfTheirOwn() {
    var client = WebSocketConnection(.client, random: Random(seed: 1), now: start)
    let payload: [UInt8] = [0, 0, 0, 0]
    client.send(.binary, payload.span)
    client.send(.binary, payload.span)
    let out = client.takeOutput()
    #expect(out.count == 20)
    #expect(Array(out[..<2]) == [0x82, 0x84])
    #expect(Array(out[2..<6]) == Array(out[6..<10]), "zeroes show the key")
    #expect(Array(out[2..<6]) != Array(out[12..<16]))
  }

  @Test func theExamplesOfTheRFCAreReadAndWritten() {
    // RFC 6455 section 5.7.
    let server = EchoEndpoint(.server)
    server.receive([0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58])
    #expect(server.events == [.message(.text, Array("Hello".utf8))])
    let client = EchoEndpoint(.client)
    client.receive([0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F])
    client.receive([0x01, 0x03, 0x48, 0x65, 0x6C])
    client.receive([0x80, 0x02, 0x6C, 0x6F])
    #expect(client.events == Array(repeating: .message(.text, Array("Hello".utf8)), count: 2))
    client.receive([0x89, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F])
    #expect(client.frames.last == .pong("Hello"))
  }

  @Test func aLengthWrittenTooLongIsRefused() {
    for head: [UInt8] in [
      [0x81, 0xFE, 0, 125], [0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF],
      [0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0],
    ] {
      let endpoint = EchoEndpoint(.server)
      endpoint.receive(head + [1, 2, 3, 4])
      #expect(endpoint.endings == [.failed(.malformedLength)])
    }
  }

  @Test func whatIsTooMuchIsRefusedBeforeItComes() {
    var limits = WebSocketLimits()
    limits.frame = 100
    limits.message = 150
    limits.fragments = 3
    let long = EchoEndpoint(.server, limits: limits)
    long.receive([0x82, 0x80 | 101, 1, 2, 3, 4])
    #expect(long.frames.map(\.code) == [1009])
    let message = EchoEndpoint(.server, limits: limits)
    message.receive(.binary([UInt8](repeating: 1, count: 100), final: false))
    message.receive([0x80, 0x80 | 51, 1, 2, 3, 4])
    #expect(message.endings == [.failed(.messageTooLong)])
    let pieces = EchoEndpoint(.server, limits: limits)
    pieces.receive(.binary([], final: false))
    pieces.receive(.more([], final: false))
    pieces.receive(.more([], final: false))
    #expect(pieces.isOpen)
    pieces.receive(.more([]))
    #expect(pieces.frames.map(\.code) == [1008])
    // Exactly at the limits is fine, and the next message begins anew.
    let full = EchoEndpoint(.server, limits: limits)
    for _ in 0..<3 {
      full.receive(.binary([UInt8](repeating: 1, count: 100), final: false))
      full.receive(.more([UInt8](repeating: 1, count: 25), final: false))
      full.receive(.more([UInt8](repeating: 1, count: 25)))
    }
    #expect(full.isOpen)
    #expect(full.events.count == 3)
  }

  @Test func aFullOutputRefusesMessagesAndLeavesPongsOut() {
    var limits = WebSocketLimits()
    limits.output = 200
    var machine = WebSocketConnection(.server, limits: limits, now: start)
    let payload = [UInt8](repeating: 7, count: 150)
    #expect(machine.send(.binary, payload.span) == true)
    #expect(machine.send(.binary, payload.span) == false)
    machine.receive(Frame.ping([UInt8](repeating: 1, count: 100)).bytes(masked: true).span, now: start)
    #expect(machine.takeOutput().count == 154)
    #expect(machine.send(.binary, payload.span) == true, "what was taken makes room")
  }

  @Test func closingIsConfirmedAndThenOver() {
    let server = EchoEndpoint(.server)
    server.close(.goingAway, "stopping")
    #expect(server.frames == [.close(1001, Array("stopping".utf8))])
    #expect(!server.isOpen && !server.isFinished)
    #expect(!server.send(.text, [65]))
    // What the peer had under way is read and dropped.
    server.receive(.text("late"))
    server.receive(.ping("late"))
    server.receive(.close(1001))
    #expect(server.events == [.ended(.closed)])
    #expect(server.frames.count == 1)
    #expect(server.isFinished)
  }

  @Test func aPeerThatDoesNotConfirmIsLeft() {
    let server = EchoEndpoint(.server)
    server.close(.normal)
    #expect(server.nextDeadline == start + .seconds(3))
    server.advance(start + .seconds(3))
    #expect(server.events == [.ended(.closed)])
    #expect(server.isFinished)
  }

  @Test func aReasonIsCutBetweenCharacters() {
    let server = EchoEndpoint(.server)
    server.close(.normal, String(repeating: "é", count: 100))
    #expect(server.frames.first?.payload.count == 124)
    let client = EchoEndpoint(.client)
    client.receive(server.frames[0])
    #expect(client.endings == [.closedByPeer(.normal, reason: String(repeating: "é", count: 61))])
  }

  @Test func aSilentPeerIsAskedAndThenGivenUp() {
    let server = EchoEndpoint(.server)
    #expect(server.nextDeadline == start + .seconds(30))
    server.advance(start + .seconds(29))
    #expect(server.frames.isEmpty)
    server.advance(start + .seconds(30))
    #expect(server.frames == [.ping()])
    #expect(server.nextDeadline == start + .seconds(40))
    server.receive(.pong(), at: start + .seconds(39))
    #expect(server.nextDeadline == start + .seconds(69))
    server.advance(start + .seconds(69))
    server.advance(start + .seconds(79))
    #expect(server.endings == [.failed(.silent)])
    #expect(server.frames.last?.code == 1008)
    server.advance(start + .seconds(80))
    #expect(server.isFinished)
  }

  @Test func aMessageThatDripsIsGivenUp() {
    let server = EchoEndpoint(.server)
    let bytes = Frame.text(String(repeating: "a", count: 100)).bytes(masked: true)
    var now = start
    for byte in bytes[..<60] {
      server.receive([byte], at: now)
      now = now + .milliseconds(300)
      server.advance(now)
    }
    #expect(server.isOpen)
    #expect(server.nextDeadline == start + .seconds(20))
    server.advance(start + .seconds(20))
    #expect(server.endings == [.failed(.tooSlow)])
    // A message that pauses between its fragments is under the same limit, pings between them or not.
    let other = EchoEndpoint(.server)
    other.receive(.text("a", final: false))
    other.receive(.ping(), at: start + .seconds(19))
    other.advance(start + .seconds(20))
    #expect(other.endings == [.failed(.tooSlow)])
    // And one that ended leaves nothing behind.
    let whole = EchoEndpoint(.server)
    whole.receive(.text("a", final: false))
    whole.receive(.more("b"))
    whole.receive(.ping(), at: start + .seconds(1))
    #expect(whole.nextDeadline == start + .seconds(31))
  }

  @Test func aLostConnectionIsToldOnce() {
    let server = EchoEndpoint(.server)
    server.receivedEnd()
    server.receivedEnd()
    #expect(server.events == [.ended(.lost)])
    #expect(server.isFinished)
  }

  @Test func whatIsNotTextGoesAsBinary() {
    var machine = WebSocketConnection(.server, now: start)
    machine.send(Array("é".utf8).span)
    machine.send([UInt8]([0xE9]).span)
    #expect(machine.takeOutput() == [0x81, 2, 0xC3, 0xA9, 0x82, 1, 0xE9])
  }

  @Test func fragmentsAreSentAsAsked() {
    // Autobahn's 10.1.1 from the other side: fifty frames of 1,300 bytes and a shorter one.
    let client = EchoEndpoint(.client)
    let payload = [UInt8](repeating: 0x2A, count: 65_536)
    #expect(client.send(.text, payload, inFragmentsOf: 1300))
    #expect(client.frames.map(\.payload.count) == Array(repeating: 1300, count: 50) + [536])
    #expect(client.frames.map(\.opcode) == [1] + Array(repeating: 0, count: 50))
    #expect(client.frames.map(\.isFinal) == Array(repeating: false, count: 50) + [true])
    let server = EchoEndpoint(.server)
    for frame in client.frames { server.receive(frame) }
    #expect(server.events == [.message(.text, payload)])
    // No empty frame at the end when the last is full, and one frame for no bytes.
    let even = EchoEndpoint(.server)
    #expect(even.send(.binary, [1, 2, 3, 4], inFragmentsOf: 2))
    #expect(even.send(.binary, [], inFragmentsOf: 2))
    #expect(even.frames.map(\.payload.count) == [2, 2, 0])
  }
}

/// Two machines mouth to mouth, their bytes cut at random places.
struct PairTests {
  @Test(arguments: 0..<50)
  func whatIsSaidIsHeard(_ seed: UInt64) {
    var random = Random(seed: seed)
    let client = EchoEndpoint(.client)
    let server = EchoEndpoint(.server)
    client.echoes = false
    var sent: [WebSocketEvent] = []
    var wire: [UInt8] = []
    var back: [UInt8] = []
    for _ in 0..<60 {
      let payload = random.bytes(Int(random.below(400)))
      let fragment = 1 + Int(random.below(200))
      switch random.below(4) {
      case 0: wire += Frame.ping(random.bytes(Int(random.below(125)))).bytes(masked: true)
      default:
        client.machine.send(.binary, payload.span, inFragmentsOf: fragment)
        wire += client.machine.takeOutput()
        sent.append(.message(.binary, payload))
      }
      while !wire.isEmpty, random.below(5) > 0 {
        let count = 1 + Int(random.below(UInt64(wire.count)))
        server.machine.receive(Array(wire[..<count]).span, now: start)
        wire.removeFirst(count)
        while let event = server.machine.next() {
          server.events.append(event)
          if case .message(let kind, let payload) = event {
            server.machine.send(kind, payload.span, inFragmentsOf: fragment)
          }
        }
        back += server.machine.takeOutput()
      }
      let count = Int(random.below(UInt64(back.count + 1)))
      client.machine.receive(Array(back[..<count]).span, now: start)
      back.removeFirst(count)
      while let event = client.machine.next() { client.events.append(event) }
    }
    server.machine.receive(wire.span, now: start)
    while let event = server.machine.next() {
      server.events.append(event)
      if case .message(let kind, let payload) = event { server.machine.send(kind, payload.span) }
    }
    back += server.machine.takeOutput()
    client.machine.receive(back.span, now: start)
    while let event = client.machine.next() { client.events.append(event) }
    #expect(server.events == sent)
    #expect(client.events == sent)
    #expect(server.isOpen && client.isOpen)
  }

  /// Whatever comes, the machine ends at most once, stays within its bounds, and is over in bounded time.
  @Test(arguments: 0..<200)
  func anyBytesEndInBoundedTime(_ seed: UInt64) {
    var random = Random(seed: seed ^ 0xFEED)
    let role: WebSocketRole = seed & 1 == 0 ? .server : .client
    var limits = WebSocketLimits()
    limits.message = 1000
    limits.frame = 800
    limits.output = 2000
    let endpoint = EchoEndpoint(role, limits: limits)
    var now = start
    for _ in 0..<40 {
      var bytes = random.bytes(Int(random.below(60)))
      if random.below(3) > 0 {
        let frame = Frame(
          opcode: UInt8([0, 1, 2, 8, 9, 10][Int(random.below(6))]), isFinal: random.below(3) > 0,
          payload: bytes)
        bytes = frame.bytes(masked: role == .server)
      }
      endpoint.receive(bytes, at: now)
      now = now + .milliseconds(Int64(random.below(2000)))
      endpoint.advance(now)
      #expect(endpoint.endings.count <= 1)
      #expect(endpoint.isOpen == endpoint.endings.isEmpty)
    }
    var rounds = 0
    while let deadline = endpoint.nextDeadline {
      endpoint.advance(max(deadline, now))
      now = max(deadline, now)
      rounds += 1
      #expect(rounds < 5)
      if rounds >= 5 { break }
    }
    #expect(endpoint.isFinished)
    #expect(endpoint.endings.count == 1)
  }
}
