import SIP
import Wire

/// The registrar as a machine: REGISTERs with any Contact, lost connections, pings and time, in any order.
enum RegistrarHarness {
  static func run(_ bytes: [UInt8]) {
    var script = Script(bytes)
    var now = Instant(nanoseconds: 1_000_000_000)
    var random = Random(seed: 1)
    var registrar = Registrar(now: now)
    let account = OneAccount().record
    var cseq = 0
    var live: Set<UInt64> = []

    func drain() {
      while let event = registrar.next() {
        switch event {
        case .registered(let binding):
          precondition(live.insert(binding.id).inserted, "a binding is made twice")
        case .removed(let binding, _):
          precondition(live.remove(binding.id) != nil, "a binding ends twice")
        case .refreshed(let binding), .reachChanged(let binding), .ping(let binding):
          precondition(live.contains(binding.id), "a binding that is gone is told of")
        }
      }
      precondition(registrar.count == live.count, "the events and the table differ")
      precondition(
        registrar.bindings(of: account.username).count <= account.contactLimit, "too many contacts")
    }

    while !script.isAtEnd {
      switch script.below(5) {
      case 0, 1:
        let transport = script.pick(TransportKind.allCases)
        let socket = SocketID(Handle(index: UInt32(script.below(3) + 1), generation: 1))
        let flow = Flow(
          transport, local: Endpoint(.loopbackV4, port: 5060),
          remote: Endpoint(.loopbackV4, port: 5061 + UInt16(script.below(3))), socket: socket)
        let callID = script.below(3)
        let contact = script.line()
        let expires = script.pick(["", "Expires: 0\r\n", "Expires: 60\r\n", "Expires: 7\r\n"])
        cseq += script.below(3)
        let text =
          "REGISTER sip:vestibule.local SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK\(cseq)x\r\n"
          + "From: <sip:panel401@vestibule.local>;tag=1\r\nTo: <sip:panel401@vestibule.local>\r\n"
          + "Call-ID: \(callID)\r\nCSeq: \(cseq) REGISTER\r\nMax-Forwards: 70\r\n\(expires)"
          + (contact.isEmpty ? "" : "Contact: \(contact)\r\n") + "\r\n"
        guard let request = try? Message(parsing: Array(text.utf8)) else { continue }
        let answer = registrar.register(
          request, on: flow, for: account, credential: 1, now: now, random: &random)
        for (_, value) in answer.headers {
          precondition(!value.utf8.contains(10) && !value.utf8.contains(13), "a header breaks its line")
        }
      case 2:
        now = now + .seconds(Int64(script.byte()) * 20)
        registrar.advance(now: now)
      case 3: registrar.connectionLost(SocketID(Handle(index: UInt32(script.below(3) + 1), generation: 1)))
      default:
        let latency: Interval? = script.below(2) == 0 ? nil : .milliseconds(5)
        registrar.pinged(UInt64(script.below(16)), latency: latency)
      }
      drain()
    }
    now = now + .hours(2)
    registrar.advance(now: now)
    drain()
    precondition(live.isEmpty, "a binding outlives its time")
  }
}
