import Glibc

/// From an INVITE's arrival to the last INVITE that leaves for the panels: 500 calls, ten a second.
struct Ringing {
  static let calls = 500
  static let panels = 2

  static func measure() {
    let folder = temporaryFolder()
    let gateway = Vestibule(folder: folder)
    gateway.furnish(units: 1)
    let secrets = (0..<panels).map { _ in gateway.enroll("p0") }
    let phones = (0..<panels).map { _ in Phone(gateway: gateway.udp) }
    for (phone, secret) in zip(phones, secrets) {
      phone.register("p0", secret: secret, domain: "bench.test")
    }
    let station = Phone(gateway: gateway.udp, address: "127.0.0.10")
    var delays: [Double] = []
    for number in 0..<calls {
      let began = monotonicSeconds()
      station.invite("1000", call: "ring\(number)")
      var last = began
      for phone in phones {
        guard let invite = phone.await("INVITE ", now: &last) else { continue }
        phone.reply(to: invite, "486 Busy Here")
      }
      delays.append((last - began) * 1000)
      _ = station.awaitFinal(call: "ring\(number)")
      let rest = 0.1 - (monotonicSeconds() - began)
      if rest > 0 { usleep(UInt32(rest * 1e6)) }
    }
    report("INVITE in to last INVITE out, median", median(delays), unit: "ms", aim: "-")
    report("INVITE in to last INVITE out, 99th percentile", percentile(delays, 0.99), unit: "ms", aim: "< 5")
  }
}
