import ICE
import Testing
import Wire

struct CandidateTests {
  @Test func linesOfBrowsersAreRead() throws {
    let chromium = try Candidate(
      line:
        "a=candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag x network-cost 999"
    )
    #expect(chromium.foundation == "842163049" && chromium.component == 1 && chromium.transport == .udp)
    #expect(chromium.priority == 1_677_729_535 && chromium.kind == .serverReflexive)
    #expect(chromium.endpoint == endpoint("203.0.113.7:46154"))
    #expect(chromium.related == endpoint("0.0.0.0:0"))
    let firefox = try Candidate(line: "candidate:3 1 TCP 2105524479 192.168.1.5 9 typ host tcptype active")
    #expect(firefox.transport == .tcpActive && firefox.endpoint.port == 9)
    let v6 = try Candidate(line: "1 1 udp 2130706175 2001:db8::5 8189 typ host\r\n")
    #expect(v6.endpoint == endpoint("[2001:db8::5]:8189"))
    let relay = try Candidate(line: "candidate:r 2 UDP 5 10.0.0.1 1 typ relay raddr 10.0.0.2 rport 7 x")
    #expect(relay.kind == .relayed && relay.component == 2 && relay.related == endpoint("10.0.0.2:7"))
  }

  @Test func namesAreRefusedAsNames() {
    for name in ["1f4712db-ea17-4bcf-a596-105139dfd8bf.local", "example.net", "fe80::1%eth0"] {
      #expect(throws: CandidateError.name) {
        try Candidate(line: "candidate:1 1 udp 2113937151 \(name) 50000 typ host")
      }
    }
  }

  @Test(arguments: [
    "", "candidate:", "candidate:1", "candidate:1 1 udp 5 192.0.2.1 5000 typ",
    "candidate:1 0 udp 5 192.0.2.1 5000 typ host",
    "candidate:1 257 udp 5 192.0.2.1 5000 typ host", "candidate:1 1 udp 4294967296 192.0.2.1 5000 typ host",
    "candidate:1 1 udp 5 192.0.2.1 65536 typ host", "candidate:1 1 udp 5 192.0.2.1 -1 typ host",
    "candidate:1 1 udp 5 192.0.2.1 5000 kind host", "candidate:1! 1 udp 5 192.0.2.1 5000 typ host",
    "candidate:1 1 tcp 5 192.0.2.1 5000 typ host",
    "candidate:123456789012345678901234567890123 1 udp 5 192.0.2.1 5 typ host",
    "candidate:1 1 udp +5 192.0.2.1 5000 typ host",
  ])
  func whatIsNoCandidateIsRefused(_ line: String) {
    #expect(throws: CandidateError.malformed) { try Candidate(line: line) }
  }

  @Test func unknownKindsAndTransportsAreRefused() {
    for line in [
      "1 1 sctp 5 192.0.2.1 5000 typ host", "1 1 udp 5 192.0.2.1 5000 typ mirror",
      "1 1 tcp 5 192.0.2.1 5000 typ host tcptype lazy",
    ] {
      #expect(throws: CandidateError.unsupported) { try Candidate(line: line) }
    }
    #expect(throws: CandidateError.malformed) { try Candidate(line: String(repeating: "1 ", count: 400)) }
  }

  @Test func whatIsWrittenIsReadBack() throws {
    for kind in [CandidateKind.host, .serverReflexive, .peerReflexive, .relayed] {
      for transport in [CandidateTransport.udp, .tcpActive, .tcpPassive, .tcpSimultaneous] {
        for address in ["192.0.2.1:5000", "[2001:db8::1]:65535"] {
          let one = Candidate(
            foundation: "f+/0", transport: transport, priority: Candidate.priority(kind, transport, order: 3),
            endpoint: endpoint(address), kind: kind, related: kind == .host ? nil : endpoint("10.9.8.7:6"))
          let read = try Candidate(line: one.line)
          #expect(!one.line.contains("10.9.8.7"))
          var plain = one
          plain.related = read.related
          #expect(read == plain)
        }
      }
    }
  }

  @Test func prioritiesAreThoseOfTheRFC() {
    #expect(Candidate.priority(.host, order: 0) == 2_130_706_431)
    #expect(Candidate.priority(.host, order: 1) == 2_130_706_175)
    #expect(Candidate.priority(.host, .tcpPassive, order: 0) == 1_671_430_143)
    #expect(Candidate.priority(.serverReflexive, order: 0) == 1_694_498_815)
    #expect(Candidate.priority(.relayed, order: 0) == 16_777_215)
    #expect(Candidate.priority(.host, order: 0, component: 2) == 2_130_706_430)
  }

  @Test func aFragmentOfABrowserIsRead() throws {
    let body = """
      a=ice-ufrag:EsAw\r
      a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r
      m=audio 9 UDP/TLS/RTP/SAVPF 0\r
      a=mid:0\r
      a=candidate:1 1 udp 2113937151 9d0a.local 50000 typ host\r
      a=candidate:2 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 0.0.0.0 rport 0\r
      a=end-of-candidates\r

      """
    let one = try #require(TrickleFragment(parsing: Array(body.utf8)))
    #expect(one.credentials?.fragmentText == "EsAw")
    #expect(one.candidates.map(\.priority) == [1_677_729_535])
    #expect(one.skipped == 1 && one.isComplete)
    #expect(one.sections.first?.mid == "0" && one.sections.first?.media == "audio 9 UDP/TLS/RTP/SAVPF 0")
    let again = try #require(TrickleFragment(parsing: one.bytes))
    #expect(again.sections == one.sections && again.session == one.session)
    #expect(again.bytes == one.bytes)
  }

  @Test func aHostileFragmentCostsLittle() throws {
    #expect(TrickleFragment(parsing: []) == nil)
    #expect(TrickleFragment(parsing: Array("hello".utf8)) == nil)
    #expect(TrickleFragment(parsing: [UInt8](repeating: 97, count: TrickleFragment.byteLimit + 1)) == nil)
    var body = "m=audio 9 x 0\r\n"
    for port in 1...400 { body += "a=candidate:1 1 udp 5 192.0.2.1 \(port) typ host\r\n" }
    let many = try #require(TrickleFragment(parsing: Array(body.utf8)))
    #expect(many.candidates.count == TrickleFragment.candidateLimit)
    #expect(many.skipped == 400 - TrickleFragment.candidateLimit)
    let sections = try #require(
      TrickleFragment(parsing: Array(String(repeating: "m=audio 9 x 0\r\n", count: 1000).utf8)))
    #expect(sections.sections.count == TrickleFragment.sectionLimit)
  }

  @Test func credentialsFollowTheGrammar() {
    let password = String(repeating: "p", count: 22)
    #expect(ICECredentials(fragment: "abcd", password: password) != nil)
    #expect(ICECredentials(fragment: "abc", password: password) == nil)
    #expect(ICECredentials(fragment: "ab:d", password: password) == nil)
    #expect(ICECredentials(fragment: "abcd", password: String(password.dropLast())) == nil)
    #expect(ICECredentials(fragment: "abcd", password: String(repeating: "p", count: 257)) == nil)
    var random = Random(seed: 7)
    let ours = ICECredentials(&random)
    #expect(ICECredentials(fragment: ours.fragmentText, password: ours.passwordText) == ours)
    #expect(ours.fragment.count == 8 && !"\(ours)".contains(ours.passwordText))
  }
}
