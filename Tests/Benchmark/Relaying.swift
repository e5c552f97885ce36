import Glibc

/// RTP relayed between two legs of a call, per CPU second, beside rtpengine in user space.
struct Relaying {
  static let calls = 20

  /// One call's two media ends at the relay.
  struct Pair {
    var toCallee: UInt16
    var toCaller: UInt16
  }

  /// Sends `packets` packets of `size` bytes of payload in bursts of `burst` through the pairs, paced, and gives
  /// back how many arrived per CPU second of the relay.
  static func load(
    pairs: [Pair], callers: [LoadSocketBox], callees: [LoadSocketBox], packets: Int, size: Int, burst: Int,
    processor: () -> Double
  ) -> Double {
    var sequence: UInt16 = 0
    var arrived = 0
    var sent = 0
    for box in callers + callees { _ = box.socket.drain() }
    let before = processor()
    while sent < packets {
      let began = monotonicSeconds()
      for (index, pair) in pairs.enumerated() {
        for step in 0..<burst {
          let packet = voice(
            sequence &+ UInt16(step), stamp: UInt32(sequence) * 160, source: UInt32(index + 1), size: size)
          callers[index].socket.send(packet, to: "127.0.0.1", pair.toCaller)
          if burst == 1 { callees[index].socket.send(packet, to: "127.0.0.1", pair.toCallee) }
          sent += burst == 1 ? 2 : 1
        }
      }
      sequence &+= UInt16(burst)
      for box in callers { arrived += box.socket.drain() }
      for box in callees { arrived += box.socket.drain() }
      // 20,000 packets a second, as the figures for other relays were taken.
      let rest = Double(pairs.count * (burst == 1 ? 2 : burst)) / 20_000 - (monotonicSeconds() - began)
      if rest > 0 { usleep(UInt32(rest * 1e6)) }
    }
    usleep(100_000)
    for box in callers + callees { arrived += box.socket.drain() }
    let used = processor() - before
    precondition(arrived > sent * 9 / 10, "only \(arrived) of \(sent) packets came through")
    return Double(arrived) / used
  }

  static func voice(_ sequence: UInt16, stamp: UInt32, source: UInt32, size: Int) -> [UInt8] {
    var packet: [UInt8] = [0x80, 8, UInt8(sequence >> 8), UInt8(sequence & 255)]
    for word in [stamp, source] {
      for shift in [24, 16, 8, 0] { packet.append(UInt8(truncatingIfNeeded: word >> UInt32(shift))) }
    }
    return packet + [UInt8](repeating: 0xD5, count: size)
  }

  static func measure(turns: Int) {
    let folder = temporaryFolder()
    let gateway = Vestibule(folder: folder)
    let callers = (0..<calls).map { _ in LoadSocketBox("127.0.0.10") }
    let callees = (0..<calls).map { _ in LoadSocketBox("127.0.0.1") }
    let ours = callsThrough(gateway, callers: callers, callees: callees)
    let engine = Engine(folder: folder)
    let theirCallers = (0..<calls).map { _ in LoadSocketBox("127.0.0.1") }
    let theirs = (0..<calls).map { index in
      engine.call(
        "bench\(index)", caller: theirCallers[index].socket.port, callee: callees[index].socket.port)
    }
    for (what, size, burst, packets, aim) in [
      ("RTP relayed, 160-byte voice, packets per CPU second", 160, 1, 100_000, 1.15),
      ("RTP relayed, bursts of 8 of 1,200 bytes, packets per CPU second", 1200, 8, 100_000, 1.5),
    ] {
      var mine: [Double] = []
      var other: [Double] = []
      for _ in 0..<turns {
        other.append(
          load(
            pairs: theirs, callers: theirCallers, callees: callees, packets: packets, size: size,
            burst: burst, processor: { engine.peer.processorSeconds }))
        mine.append(
          load(
            pairs: ours, callers: callers, callees: callees, packets: packets, size: size, burst: burst,
            processor: { gateway.peer.processorSeconds }))
      }
      report(what, ours: mine, theirs: other, peer: "rtpengine", aim: aim)
    }
  }

  /// Sets `calls` door calls up through the gateway, each answered.
  static func callsThrough(
    _ gateway: borrowing Vestibule, callers: [LoadSocketBox], callees: [LoadSocketBox]
  ) -> [Pair] {
    gateway.furnish(units: callers.count)
    let station = Phone(gateway: gateway.udp, address: "127.0.0.10")
    return callers.indices.map { index in
      let panel = Phone(gateway: gateway.udp)
      panel.persist("p\(index)", secret: gateway.enroll("p\(index)"), domain: "bench.test")
      station.invite("\(1000 + index)", call: "relay\(index)", media: callers[index].socket.port)
      guard let invite = panel.await("INVITE ")?.message, let toCallee = mediaPort(in: invite) else {
        preconditionFailure(
          "panel \(index) was not rung; the log ends \(contents(of: gateway.folder + "/log").suffix(500))")
      }
      panel.reply(to: invite, "200 OK", media: callees[index].socket.port)
      guard let answer = station.awaitFinal(call: "relay\(index)"), let toCaller = mediaPort(in: answer)
      else {
        preconditionFailure("the call was not answered")
      }
      return Pair(toCallee: toCallee, toCaller: toCaller)
    }
  }
}

/// A socket that can lie in an array.
final class LoadSocketBox {
  let socket: LoadSocket
  init(_ address: String) { socket = LoadSocket(address) }
}

/// An rtpengine in user space, spoken to by its ng protocol.
struct Engine: ~Copyable {
  let peer: Peer
  private let control: LoadSocket
  private let port: UInt16

  init(folder: String) {
    port = LoadSocket("127.0.0.1").port
    peer = Peer(
      [
        "rtpengine", "--config-file=none", "--table=-1", "--foreground", "--interface=127.0.0.1",
        "--listen-ng=127.0.0.1:\(port)", "--port-min=30000", "--port-max=33999", "--log-stderr",
        "--log-level=3", "--num-threads=2",
      ], output: "\(folder)/rtpengine.log")
    control = LoadSocket("127.0.0.1")
    for _ in 0..<50 {
      control.send(Array("0 d7:command4:pinge".utf8), to: "127.0.0.1", port)
      if control.receive() != nil { return }
    }
    preconditionFailure("rtpengine does not answer: \(contents(of: folder + "/rtpengine.log"))")
  }

  /// Offer and answer for one call.
  func call(_ name: String, caller: UInt16, callee: UInt16) -> Relaying.Pair {
    let toCallee = ask("offer", name, port: caller, tag: "")
    let toCaller = ask("answer", name, port: callee, tag: "6:to-tag1:t")
    return Relaying.Pair(toCallee: toCallee, toCaller: toCaller)
  }

  private func ask(_ command: String, _ name: String, port own: UInt16, tag: String) -> UInt16 {
    let description =
      "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
      + "m=audio \(own) RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
    let text =
      "\(name)\(command) d7:call-id\(name.utf8.count):\(name)7:command\(command.utf8.count):\(command)8:from-tag1:f"
      + "7:replacel6:origin18:session-connectione3:sdp\(description.utf8.count):\(description)\(tag)e"
    control.send(Array(text.utf8), to: "127.0.0.1", port)
    guard let reply = control.receive(), let relay = mediaPort(in: reply) else {
      preconditionFailure("rtpengine refused: \(command)")
    }
    return relay
  }

  /// A call between a telephone at `caller` and a browser. `answering` is given the description for the browser and
  /// gives its answer; back comes where the telephone sends to.
  func webCall(_ name: String, caller: UInt16, answering: (String) -> String) -> UInt16 {
    let own =
      "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
      + "m=audio \(caller) RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
    let offer = exchange(
      "offer", name, own, tag: "",
      more:
        "3:ICE5:force8:rtcp-muxl5:offere4:SDESl3:offe18:transport-protocol17:UDP/TLS/RTP/SAVPF5:flagsl12:generate-mide"
    )
    let answer = exchange(
      "answer", name, answering(offer), tag: "6:to-tag1:t",
      more: "3:ICE6:remove8:rtcp-muxl5:demuxe18:transport-protocol7:RTP/AVP")
    guard let port = mediaPort(in: answer) else { fail("rtpengine did not answer: \(answer)") }
    return port
  }

  /// One offer or answer in the ng protocol: the description that comes back.
  private func exchange(
    _ command: String, _ name: String, _ description: String, tag: String, more: String
  ) -> String {
    let text =
      "\(name)\(command) d7:call-id\(name.utf8.count):\(name)7:command\(command.utf8.count):\(command)8:from-tag1:f"
      + "7:replacel6:origin18:session-connectione3:sdp\(description.utf8.count):\(description)\(tag)\(more)e"
    control.send(Array(text.utf8), to: "127.0.0.1", port)
    guard let reply = control.receive(), let start = reply.firstRange(of: "3:sdp") else {
      fail("rtpengine refused: \(command)")
    }
    let rest = reply[start.upperBound...]
    guard let colon = rest.firstIndex(of: ":"), let length = Int(rest[..<colon]) else {
      fail("rtpengine answered \(reply)")
    }
    return String(decoding: rest[rest.index(after: colon)...].utf8.prefix(length), as: UTF8.self)
  }
}
