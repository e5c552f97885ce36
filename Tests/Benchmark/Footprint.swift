import Glibc

/// Memory as proportional set size, and the time from start to ready.
struct Footprint {
  static func measure() {
    let folder = temporaryFolder()
    var secrets: [String] = []
    do {
      let gateway = Vestibule(folder: folder)
      gateway.furnish(units: 2000, kind: "mobile")
      let idle = Double(gateway.peer.proportionalSetSize)
      report("idle, 2,000 units, before any call", idle / 1000, unit: "MB", aim: "< 25")
      secrets = (0..<2000).map { gateway.enroll("p\($0)") }
      for index in 0..<1000 { register(index, secrets[index], at: gateway) }
      sleep(1)  // bindings are written behind
    }
    var starts: [Double] = []
    for _ in 0..<5 { starts.append(Vestibule(folder: folder).readyAfter * 1000) }
    report("start to ready, 2,000 units and 1,000 bindings", median(starts), unit: "ms", aim: "< 300")
    do {
      let gateway = Vestibule(folder: folder)
      let before = Double(gateway.peer.proportionalSetSize)
      // Each mobile account holds five contacts; a thousand are there already.
      for index in secrets.indices {
        for _ in (index < 1000 ? 1 : 0)..<5 { register(index, secrets[index], at: gateway) }
      }
      sleep(40)  // every transaction has gone by then; the bindings stay
      report(
        "per UDP binding, over 9,000 that came to 1,000",
        (Double(gateway.peer.proportionalSetSize) - before) / 9000, unit: "kB", aim: "< 8")
    }
    let calls = temporaryFolder()
    let gateway = Vestibule(folder: calls)
    let before = Double(gateway.peer.proportionalSetSize)
    let callers = (0..<200).map { _ in LoadSocketBox("127.0.0.10") }
    let callees = (0..<200).map { _ in LoadSocketBox("127.0.0.1") }
    _ = Relaying.callsThrough(gateway, callers: callers, callees: callees)
    report(
      "per call, over 200", (Double(gateway.peer.proportionalSetSize) - before) / 200, unit: "kB", aim: "-")
  }

  private static func register(_ index: Int, _ secret: String, at gateway: borrowing Vestibule) {
    Phone(gateway: gateway.udp, address: "127.0.\(4 + index / 200).\(index % 200 + 1)")
      .persist("p\(index)", secret: secret, domain: "bench.test")
  }
}
