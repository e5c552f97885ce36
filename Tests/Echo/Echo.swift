// A peer connection of ours over a real socket: answers a browser's offer, or makes one, and echoes its sound.
//
//   Echo answer ADDRESS ENCODING [full]      reads an offer, writes the answer
//   Echo offer ADDRESS ENCODING [full]       writes an offer, reads the answer
//
// Descriptions are read from standard input and written to standard output, each ended by a line with a dot. Further
// descriptions may follow: they are offers inside the session. What happens is written line by line, with the
// milliseconds since the last description was read. The end of standard input ends the connection.
import Crypto
import Glibc
import ICE
import RTP
import SDP
import WebRTC
import Wire

@main struct Echo {
  static func main() {
    let words = CommandLine.arguments
    guard words.count >= 4, ["answer", "offer"].contains(words[1]), let address = IPAddress(words[2]) else {
      print("usage: Echo answer|offer ADDRESS ENCODING [full]")
      exit(64)
    }
    let session = EchoSession(
      address: address, text: words[2], encoding: words[3], mode: words.contains("full") ? .full : .lite)
    if words[1] == "offer" { session.offer() }
    session.run()
  }
}

/// Monotonic and civil time, and the descriptor work, of one connection.
final class EchoSession {
  private let socket: EchoSocket
  private let encoding: String
  private let connection: PeerConnection
  private var random: Random
  private var input: [UInt8] = []
  private var since = EchoSession.clock()
  private var isOffering = false
  private var sequence: UInt16 = 1
  private var received = 0
  private var echoed = 0
  private let name = SocketID(Handle(index: 1, generation: 1))
  private let local: Endpoint
  private var header = [UInt8](repeating: 0, count: 12)
  private var buffer = [UInt8](repeating: 0, count: 2048)

  static func clock() -> Instant {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }

  private static func stopwatch(_ work: () -> Void) -> Interval {
    let start = clock()
    work()
    return clock() - start
  }

  init(address: IPAddress, text: String, encoding: String, mode: ICEMode) {
    self.encoding = encoding
    socket = EchoSocket(text)
    local = Endpoint(address, port: socket.port)
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    let source = unsafe open("/dev/urandom", O_RDONLY)
    _ = unsafe withUnsafeMutableBytes(of: &words) { unsafe read(source, $0.baseAddress, $0.count) }
    close(source)
    random = Random(seed: words)
    let profiles = SRTPProfile.ranked(by: EchoSession.stopwatch)
    print("profiles \(profiles)")
    let wall = WallTime(seconds: Int64(time(nil)))
    guard let context = try? DTLSContext.make(serial: random.next(), at: wall, profiles: profiles) else {
      print("no certificate")
      exit(1)
    }
    var turn = Turn(now: EchoSession.clock(), random: random.fork())
    connection = PeerConnection(
      PeerConfiguration(
        ice: ICEConfiguration(
          mode, role: .controlled, bases: [ICEBase(.udp, local: local, socket: name)], tag: 7),
        audioSource: UInt32(truncatingIfNeeded: random.next()),
        videoSource: UInt32(truncatingIfNeeded: random.next()), canonicalName: "echo"),
      DTLSSessions(context), &turn)
  }

  private func say(_ words: String) {
    print("\((EchoSession.clock() - since).milliseconds) \(words)")
    fflush(nil)
  }

  /// One step of the engine, and what it sends.
  private func step<Result>(_ body: (inout Turn) -> Result) -> Result {
    var turn = Turn(now: EchoSession.clock(), random: random.fork())
    let result = body(&turn)
    for entry in turn.out.entries {
      socket.send(turn.out.bytes, entry.range, to: entry.flow.remote)
    }
    while let event = connection.next() {
      if case .validated(let flow) = event {
        say("validated \(flow.remote)")
      } else {
        say("\(event)")
      }
    }
    return result
  }

  private func write(_ description: SessionDescription) {
    print(String(decoding: description.bytes, as: UTF8.self), terminator: "")
    print(".")
    fflush(nil)
  }

  private var formats: [Format] {
    switch encoding {
    case "PCMU": [.pcmu, .telephoneEvent(101)]
    case "G722": [.g722, .telephoneEvent(101)]
    case "opus":
      [
        Format(
          payloadType: 111, encoding: "opus", clockRate: 48_000, channels: 2,
          parameters: "minptime=10;useinbandfec=1"), .telephoneEvent(101),
      ]
    default: [.pcma, .telephoneEvent(101)]
    }
  }

  func offer() {
    isOffering = true
    let offer = step { turn in
      connection.createOffer(
        audio: PeerMedia(formats, .sendrecv),
        video: PeerMedia(
          [
            Format(
              payloadType: 102, encoding: "H264", clockRate: 90_000,
              parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
          ], .sendonly), &turn)
    }
    write(offer)
  }

  private func take(_ text: [UInt8]) {
    since = EchoSession.clock()
    do {
      let description = try SessionDescription(parsing: text)
      if isOffering {
        isOffering = false
        try stepThrowing { turn throws(PeerRefusal) in
          try self.connection.setRemote(answer: description, &turn)
        }
      } else {
        try connection.setRemote(offer: description)
        let answer = try stepThrowing { turn throws(PeerRefusal) in
          let offered = self.connection.offered(.audio)
          let known = (offered?.formats ?? []).filter { one in
            self.formats.contains { $0.isSameEncoding(as: one) }
          }
          let picture = self.connection.offered(.video).flatMap {
            H264Profile.choose(of: $0.formats, for: nil)
          }
          return try self.connection.createAnswer(
            audio: PeerMedia(known, .sendrecv), video: picture.map { PeerMedia([$0], .sendonly) }, &turn)
        }
        write(answer)
      }
      step { turn in connection.gather(&turn) }
      say("settled \(String(describing: connection.settled(.audio)?.formats.map(\.encoding)))")
    } catch {
      say("refused \(error)")
    }
  }

  private func stepThrowing<Result>(
    _ body: (inout Turn) throws(PeerRefusal) -> Result
  ) throws(PeerRefusal) -> Result {
    var caught: PeerRefusal?
    let result: Result? = step { turn in
      do throws(PeerRefusal) { return try body(&turn) } catch {
        caught = error
        return nil
      }
    }
    if let caught { throw caught }
    return result!
  }

  func run() {
    while true {
      let wait = connection.nextDeadline.map { max(0, ($0 - EchoSession.clock()).milliseconds + 1) } ?? 1000
      let (hasInput, hasDatagram) = socket.wait(milliseconds: min(1000, wait))
      if hasInput {
        var room = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe read(0, &room, room.count)
        if count <= 0 { break }
        input += room[..<count]
        while let end = input.firstRange(of: Array("\n.\n".utf8)) {
          let text = Array(input[..<(end.lowerBound + 1)])
          input.removeSubrange(..<end.upperBound)
          take(text)
        }
      }
      if hasDatagram { receive() }
      if let deadline = connection.nextDeadline, deadline <= EchoSession.clock() {
        var steps = 2
        step { turn in connection.advance(&turn, handshakes: &steps) }
      }
    }
    step { turn in connection.close(&turn) }
    say("received \(received) echoed \(echoed) \(connection.counters)")
  }

  private func receive() {
    for _ in 0..<64 {
      guard let (datagram, remote) = socket.receive() else { return }
      let flow = Flow(.udp, local: local, remote: remote, socket: name)
      var steps = 2
      let reading = step { turn in
        connection.receive(datagram.span, on: flow, &turn, handshakes: &steps)
      }
      guard case .rtp(.audio, let length) = reading else { continue }
      received += 1
      if received == 1 { say("first packet") }
      echo(Array(connection.plain[..<length]))
    }
  }

  /// The same payload under our own source and numbers.
  private func echo(_ packet: [UInt8]) {
    guard let head = try? PacketHeader(parsing: packet.span) else { return }
    let own = PacketHeader(
      payloadType: head.payloadType, sequence: sequence, timestamp: head.timestamp,
      ssrc: connection.configuration.audioSource, marker: head.marker
    ).bytes
    sequence &+= 1
    for index in 0..<12 { header[index] = own[index] }
    var room = buffer.mutableSpan
    let length = connection.protect(header.span, packet.span.extracting(head.payload), into: &room)
    guard length > 0, let path = connection.path else { return }
    socket.send(buffer, 0..<length, to: path.flow.remote)
    echoed += 1
  }
}

/// A UDP socket without waiting.
@safe  // Pointers to locals live for one call each.
final class EchoSocket {
  private let descriptor: Int32
  let port: UInt16

  init(_ address: String) {
    descriptor = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    var local = sockaddr_in()
    local.sin_family = sa_family_t(AF_INET)
    local.sin_addr.s_addr = unsafe inet_addr(address)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let number = descriptor
    let bound = unsafe withUnsafeMutablePointer(to: &local) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        let status = unsafe bind(number, $0, length)
        unsafe getsockname(number, $0, &length)
        return status
      }
    }
    guard bound == 0 else {
      print("cannot bind \(address)")
      exit(1)
    }
    port = UInt16(bigEndian: local.sin_port)
  }

  deinit { close(descriptor) }

  /// Whether standard input and the socket have something.
  func wait(milliseconds: Int64) -> (Bool, Bool) {
    var list = [
      pollfd(fd: 0, events: Int16(POLLIN), revents: 0),
      pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
    ]
    unsafe poll(&list, 2, Int32(milliseconds))
    return (list[0].revents != 0, list[1].revents != 0)
  }

  func send(_ bytes: [UInt8], _ range: Range<Int>, to remote: Endpoint) {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = remote.port.bigEndian
    address.sin_addr.s_addr = remote.address.v4.bigEndian
    let number = descriptor
    _ = unsafe bytes.withUnsafeBufferPointer { all in
      unsafe withUnsafePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe sendto(
            number, all.baseAddress! + range.lowerBound, range.count, Int32(MSG_DONTWAIT), $0,
            socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
    }
  }

  func receive() -> ([UInt8], Endpoint)? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let number = descriptor
    let count = unsafe bytes.withUnsafeMutableBufferPointer { room in
      unsafe withUnsafeMutablePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe recvfrom(
            number, room.baseAddress, room.count, Int32(MSG_DONTWAIT), $0, &length)
        }
      }
    }
    guard count > 0 else { return nil }
    return (
      Array(bytes[..<count]),
      Endpoint(
        IPAddress(v4: UInt32(bigEndian: address.sin_addr.s_addr)), port: UInt16(bigEndian: address.sin_port))
    )
  }
}
