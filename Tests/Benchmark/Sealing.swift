import Crypto
import Wire

/// RTP relayed towards SRTP and from it, per CPU second, beside rtpengine in user space. The client is the same for both,
/// with ICE, DTLS and keys of its own for every call, and so is the SRTP profile.
struct Sealing {
  static let calls = 20
  static let packets = 60_000

  static func measure(turns: Int) {
    let loop = LoadLoop()
    let folder = temporaryFolder()
    for profile in [SRTPProfile.aes128CMSHA180, .aeadAES128GCM] {
      let maker = LoadPeer.maker(loop, profiles: [profile])
      let gateway = Vestibule(folder: temporaryFolder())
      let engine = Engine(folder: folder)
      let ours = WebCalls.through(gateway, loop, maker: maker, count: calls)
      let theirs = WebCalls.through(engine, loop, maker: maker, count: calls)
      for (what, ways, size, burst, aim) in [
        ("RTP to SRTP, 160 B", WebCalls.Ways.towards, 160, 1, 1.2),
        ("RTP to SRTP, 1,200 B", .towards, 1200, 1, 1.4),
        ("RTP to SRTP, bursts of 8 of 1,200 B", .towards, 1200, 8, 1.4),
        ("SRTP to RTP, 160 B", .from, 160, 1, 0.8),
        ("SRTP to RTP, 1,200 B", .from, 1200, 1, 0.8),
        ("SRTP to RTP, bursts of 8 of 1,200 B", .from, 1200, 8, 0.8),
      ] {
        var mine: [Double] = []
        var other: [Double] = []
        for _ in 0..<turns {
          other.append(
            theirs.load(
              packets: packets, size: size, burst: burst, ways, rate: 20_000,
              processor: { engine.peer.processorSeconds }
            ).perSecond)
          mine.append(
            ours.load(
              packets: packets, size: size, burst: burst, ways, rate: 20_000,
              processor: { gateway.peer.processorSeconds }
            ).perSecond)
        }
        report(
          "\(what), \(profile), packets per CPU second", ours: mine, theirs: other, peer: "rtpengine",
          aim: aim)
      }
    }
  }
}

/// 200 conversations between a telephone and a browser, 50 packets a second each way: what they cost.
struct Talking {
  static let calls = 200
  static let seconds = 10

  static func measure(turns: Int) {
    let loop = LoadLoop()
    let maker = LoadPeer.maker(loop)
    let gateway = Vestibule(folder: temporaryFolder())
    let engine = Engine(folder: temporaryFolder())
    // What the first ones load stays loaded, and is none of theirs.
    let first = Double(engine.peer.proportionalSetSize)
    let theirs = WebCalls.through(engine, loop, maker: maker, count: calls)
    let engineMemory = (Double(engine.peer.proportionalSetSize) - first) / Double(calls)
    let before = Double(gateway.peer.proportionalSetSize)
    let ours = WebCalls.through(gateway, loop, maker: maker, count: calls)
    let memory = (Double(gateway.peer.proportionalSetSize) - before) / Double(calls)
    var mine: [Double] = []
    var other: [Double] = []
    for _ in 0..<turns {
      other.append(
        theirs.load(
          packets: calls * 100 * seconds, size: 160, burst: 1, .both, rate: Double(calls) * 100,
          processor: { engine.peer.processorSeconds }
        ).share * 100)
      mine.append(
        ours.load(
          packets: calls * 100 * seconds, size: 160, burst: 1, .both, rate: Double(calls) * 100,
          processor: { gateway.peer.processorSeconds }
        ).share * 100)
    }
    report("200 WebRTC legs, percent of a core", ours: mine, theirs: other, peer: "rtpengine", aim: 1)
    report(
      "200 WebRTC legs, kB for each call", ours: [memory], theirs: [engineMemory], peer: "rtpengine", aim: 1)
  }
}
