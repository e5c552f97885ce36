import Glibc

/// Memory as proportional set size, and the time from start to ready.
struct Footprint {
  static func measure() {
    let folder = temporaryFolder()
    do {
      let gateway = Vestibule(folder: folder)
      gateway.furnish(units: 1000)
      let idle = Double(gateway.peer.proportionalSetSize)
      report("idle, 1,000 units, before any call", idle / 1000, unit: "MB", aim: "< 25")
      // Ten thousand bindings: each panel account holds two.
      let secrets = (0..<1000).map { gateway.enroll("p\($0)") }
      let furnished = Double(gateway.peer.proportionalSetSize)
      for index in secrets.indices {
        for _ in 0..<2 {
          let phone = Phone(
            gateway: gateway.udp, address: "127.0.\(4 + index / 200).\(index % 200 + 1)")
          // Strangers are paced until they have proved themselves once.
          var tries = 0
          while !phone.register("p\(index)", secret: secrets[index], domain: "bench.test") {
            tries += 1
            if tries == 50 { fail("a registration failed") }
          }
        }
      }
      sleep(40)  // every transaction has gone by then; the bindings stay
      report(
        "per UDP binding, over 2,000", (Double(gateway.peer.proportionalSetSize) - furnished) / 2000,
        unit: "kB", aim: "< 8")
    }
    var starts: [Double] = []
    for _ in 0..<5 { starts.append(Vestibule(folder: folder).readyAfter * 1000) }
    report("start to ready, 1,000 units and 2,000 bindings", median(starts), unit: "ms", aim: "< 300")
    let calls = temporaryFolder()
    let gateway = Vestibule(folder: calls)
    let before = Double(gateway.peer.proportionalSetSize)
    let callers = (0..<200).map { _ in LoadSocketBox("127.0.0.10") }
    let callees = (0..<200).map { _ in LoadSocketBox("127.0.0.1") }
    _ = Relaying.callsThrough(gateway, callers: callers, callees: callees)
    report(
      "per call, over 200", (Double(gateway.peer.proportionalSetSize) - before) / 200, unit: "kB", aim: "-")
  }
}
