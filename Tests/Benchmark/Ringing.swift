import Glibc

/// From an INVITE's arrival to the last INVITE that leaves for the panels: 500 calls, ten a second. The first moment is
/// taken just before the INVITE is handed to the kernel, the last is the kernel's own note of the last panel's.
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
    for phone in phones { _ = phone.socket.arrival() }
    var delays: [Double] = []
    for number in 0..<calls {
      let began = wallSeconds()
      station.invite("1000", call: "ring\(number)")
      var last = began
      for phone in phones {
        guard let invite = phone.await("INVITE ") else { fail("call \(number) did not ring") }
        last = max(last, invite.at)
        phone.reply(to: invite.message, "486 Busy Here")
      }
      delays.append((last - began) * 1000)
      _ = station.awaitFinal(call: "ring\(number)")
      let rest = 0.1 - (wallSeconds() - began)
      if rest > 0 { usleep(UInt32(rest * 1e6)) }
    }
    report("INVITE in to last INVITE out, median", median(delays), unit: "ms", aim: "-")
    report("INVITE in to last INVITE out, 99th percentile", percentile(delays, 0.99), unit: "ms", aim: "< 5")
  }
}
