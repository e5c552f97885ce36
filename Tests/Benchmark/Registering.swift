import Glibc

/// 20,000 registrations with digest, each REGISTER, 401, REGISTER, 200: CPU seconds of the registrar.
struct Registering {
  static let rounds = 20_000
  static let accounts = 100

  /// Runs the load against a registrar on 127.0.0.1 and gives back its CPU seconds.
  static func load(port: UInt16, secrets: [String], processor: () -> Double) -> Double {
    // An address each, as phones have: the gateway paces what comes from one.
    let phones = secrets.indices.map { Phone(gateway: port, address: "127.0.3.\($0 + 1)") }
    let before = processor()
    var done = 0
    var turn = 0
    // A building that comes back: all phones at once, each waiting for its own answers.
    while done < rounds {
      turn += 1
      let call = "c\(turn)"
      for index in phones.indices {
        phones[index].startRegistration("p\(index)", domain: "bench.test", call: call)
      }
      let answered = phones.indices.filter {
        phones[$0].answerChallenge("p\($0)", secret: secrets[$0], domain: "bench.test", call: call)
      }
      let accepted = answered.count { phones[$0].isRegistered(call: call) }
      precondition(accepted > phones.count * 9 / 10, "only \(accepted) of \(phones.count) were accepted")
      done += accepted
    }
    return processor() - before
  }

  /// A Kamailio that does the same and no more: digest, bindings in memory, one worker a core.
  static func kamailio(folder: String, port: UInt16) -> Peer {
    let modules = run("ls -d /usr/lib/*/kamailio/modules").split(separator: "\n").first.map(String.init) ?? ""
    write(
      """
      debug=0
      log_stderror=yes
      fork=yes
      children=2
      disable_tcp=yes
      auto_aliases=no
      alias="bench.test"
      listen=udp:127.0.0.1:\(port)
      mpath="\(modules)/"
      loadmodule "tm.so"
      loadmodule "sl.so"
      loadmodule "pv.so"
      loadmodule "textops.so"
      loadmodule "usrloc.so"
      loadmodule "registrar.so"
      loadmodule "auth.so"
      modparam("usrloc", "db_mode", 0)
      modparam("auth", "qop", "auth")
      request_route {
        if ($rm == "REGISTER") {
          if (!pv_www_authenticate("$td", "secret", "0")) { www_challenge("$td", "1"); exit; }
          save("location");
        }
        exit;
      }
      """, to: "\(folder)/kamailio.cfg")
    let peer = Peer(
      ["kamailio", "-DD", "-E", "-x", "fm", "-X", "fm", "-f", "\(folder)/kamailio.cfg", "-Y", folder],
      output: "\(folder)/kamailio.log")
    let probe = Phone(gateway: port)
    for _ in 0..<100 where probe.register("p0", secret: "secret", domain: "bench.test") { return peer }
    preconditionFailure("kamailio does not answer: \(contents(of: folder + "/kamailio.log"))")
  }

  static func measure(turns: Int) {
    let folder = temporaryFolder()
    let gateway = Vestibule(folder: folder)
    gateway.furnish(units: accounts)
    let secrets = (0..<accounts).map { gateway.enroll("p\($0)") }
    let kamailio = kamailio(folder: folder, port: 45_060)
    var ours: [Double] = []
    var theirs: [Double] = []
    for _ in 0..<turns {
      theirs.append(
        load(
          port: 45_060, secrets: Array(repeating: "secret", count: accounts),
          processor: { kamailio.processorSeconds }))
      ours.append(
        load(port: gateway.udp, secrets: secrets, processor: { gateway.peer.processorSeconds }))
    }
    report(
      "REGISTER with digest, per CPU second", ours: ours.map { Double(rounds) / $0 },
      theirs: theirs.map { Double(rounds) / $0 }, peer: "Kamailio", aim: 1.5)
  }
}
