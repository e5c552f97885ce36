import Glibc
import HTTP
import SDP
import WebRTC
import Wire

/// From an answer that a browser has applied to the first packet of sound that it opened: through the gateway, with a
/// station that speaks all the time, and from aiortc, which answers the same offer. Once with no distance, once with
/// 25 ms each way.
struct Answering {
  static let rounds = 15

  static func measure() {
    let loop = LoadLoop()
    guard let address = Viewing.ownAddress() else { fail("aiortc needs an address that is not loopback's") }
    let maker = LoadPeer.maker(loop)
    let gateway = Vestibule(folder: temporaryFolder(), address: address)
    gateway.furnish(units: 2 * rounds, kind: "browser")
    let other = Aiortc(loop, folder: temporaryFolder())
    let station = Phone(gateway: gateway.udp, address: "127.0.0.10")
    var unit = 0
    for (what, delay, aim) in [
      ("answer to first packet, local, ms", Interval.zero, "< 300"),
      ("answer to first packet, 50 ms round trip, ms", .milliseconds(25), "<= 225"),
    ] {
      var ours: [Double] = []
      var theirs: [Double] = []
      for _ in 0..<rounds {
        func peer() -> LoadPeer {
          let peer = LoadPeer(loop, maker, address: address)
          peer.delay = delay
          return peer
        }
        let first = peer()
        let offer = first.offer(audio: PeerMedia(LoadFormats.voice, .sendrecv), video: nil)
        theirs.append(time(first, other.answer(offer), loop) {})
        first.close()

        let second = peer()
        let page = LoadPage(
          loop, http: gateway.http, link: gateway.link("p\(unit)"), address: "127.0.30.\(unit + 1)")
        let phone = LoadSocketBox("127.0.0.10")
        station.invite("\(1000 + unit)", call: "answer\(unit)", media: phone.socket.port)
        let answer = page.answer(
          second.offer(audio: PeerMedia(LoadFormats.voice, .sendrecv), video: nil))
        guard let final = station.awaitFinal(call: "answer\(unit)"), let port = mediaPort(in: final) else {
          fail("the station's call was not answered")
        }
        var sequence: UInt16 = 0
        let took = time(second, answer, loop) {
          let packet = Relaying.voice(sequence, stamp: UInt32(sequence) * 160, source: 1, size: 160)
          phone.socket.send(packet, to: address, port)
          sequence += 1
        }
        ours.append(took)
        second.close()
        unit += 1
      }
      print(
        "\(what): ours \(rounded(median(ours))), slowest \(rounded(ours.max() ?? 0)); "
          + "aiortc \(rounded(median(theirs))), slowest \(rounded(theirs.max() ?? 0)) (aim \(aim))")
    }
  }

  /// Applies the answer; the milliseconds to the first packet that was opened. `speak` is called every 20 ms meanwhile.
  private static func time(
    _ peer: LoadPeer, _ answer: String, _ loop: LoadLoop, speak: () -> Void
  ) -> Double {
    var end: Instant?
    peer.whenPacket = { kind, _, _ in
      if kind == .audio { end = end ?? LoadLoop.now }
    }
    let began = LoadLoop.now
    peer.take(answer: answer)
    for _ in 0..<500 {
      speak()
      if loop.run(within: 0.02, until: { end != nil }) { break }
    }
    guard let end else { fail("no packet came: \(String(describing: peer.failure))\n\(answer)") }
    return Double((end - began).nanoseconds) / 1e6
  }
}

/// aiortc from the Python package index, as a program that answers offers by HTTP and then sends silence.
struct Aiortc: ~Copyable {
  private let peer: Peer
  private let loop: LoadLoop
  private let port: UInt16

  init(_ loop: LoadLoop, folder: String) {
    self.loop = loop
    let python =
      run("echo ${TMPDIR:-/tmp}/vestibule-benchmark-aiortc").split(separator: "\n")[0] + "/bin/python"
    if run("\(python) -c 'import aiortc' 2>&1; echo $?") != "0\n" {
      _ = run(
        "python3 -m venv $(dirname $(dirname \(python))) && \(python) -m pip -q install aiortc==1.16.0 2>&1")
    }
    write(Aiortc.program, to: folder + "/answer.py")
    peer = Peer([String(python), folder + "/answer.py"], output: folder + "/aiortc.log")
    guard let line = peer.line(beginning: "ready ", within: 30) else {
      fail("aiortc does not start: \(contents(of: folder + "/aiortc.log"))")
    }
    port = UInt16(line.split(separator: " ")[1]) ?? 0
  }

  func answer(_ offer: String) -> String {
    loop.ask(.post, "/", port: port, fields: [("Content-Type", "application/sdp")], body: offer).text
  }

  private static let program = #"""
    import asyncio
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
    from aiortc.mediastreams import AudioStreamTrack

    connections = []

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        offer = (await reader.readexactly(length)).decode()
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connections.append(connection)
        connection.addTrack(AudioStreamTrack())
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        body = connection.localDescription.sdp.encode()
        writer.write(b"HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        print("ready", server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(main())

    """#
}
