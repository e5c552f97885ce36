import Testing
import Wire

@Suite struct EndpointTests {
  /// What is read, and how RFC 5952 (sections 1, 4 and 5) wants it written.
  @Test(arguments: [
    ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
    ("2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
    ("2001:db8::1:0:0:1", "2001:db8::1:0:0:1"),
    ("2001:db8::0:1:0:0:1", "2001:db8::1:0:0:1"),
    ("2001:0db8::1:0:0:1", "2001:db8::1:0:0:1"),
    ("2001:db8:0:0:1::1", "2001:db8::1:0:0:1"),
    ("2001:db8:0000:0:1::1", "2001:db8::1:0:0:1"),
    ("2001:DB8:0:0:1::1", "2001:db8::1:0:0:1"),
    ("2001:0db8::0001", "2001:db8::1"),
    ("2001:db8:0:0:0:0:2:1", "2001:db8::2:1"),
    ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
    ("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
    ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
    ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
    ("2001:db8:aaaa:bbbb:cccc:dddd:EEEE:0aAa", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaa"),
    ("::", "::"),
    ("::1", "::1"),
    ("1::", "1::"),
    ("0:0:0:0:0:0:0:1", "::1"),
    ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
    ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
    ("::ffff:192.0.2.1", "192.0.2.1"),
    ("::ffff:c000:201", "192.0.2.1"),
    ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
    ("fe80::1", "fe80::1"),
    ("192.0.2.1", "192.0.2.1"),
    ("0.0.0.0", "0.0.0.0"),
    ("255.255.255.255", "255.255.255.255"),
    ("[2001:db8::9:1]", "2001:db8::9:1"),
  ])
  func addressesAreReadAndWrittenAsTheRFCWants(text: String, canonical: String) throws {
    let address = try #require(IPAddress(text))
    #expect(address.description == canonical)
    #expect(IPAddress(canonical) == address)
  }

  @Test(arguments: [
    "", ":", ":::", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.4 ", " 1.2.3.4", "1..2.3", "1.2.3.",
    "a.b.c.d",
    "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "12345::",
    "::g", "::1%eth0", "[::1", "::1]", "[]", "[192.0.2.1]", "1:", ":1", "1:2:3:4:5:6:7:1.2.3.4",
    "::1.2.3", "::1.2.3.4:5", "0001.2.3.4", "1234567890123456789012345678901234567890123456",
  ])
  func whatIsNoAddressIsRefused(text: String) {
    #expect(IPAddress(text) == nil)
  }

  @Test(arguments: [
    ("192.0.2.1:5060", "192.0.2.1:5060"),
    ("[2001:db8::1]:5061", "[2001:db8::1]:5061"),
    ("[::ffff:192.0.2.1]:80", "192.0.2.1:80"),
    ("0.0.0.0:0", "0.0.0.0:0"),
  ])
  func endpointsAreReadAndWritten(text: String, canonical: String) throws {
    #expect(try #require(Endpoint(text)).description == canonical)
  }

  @Test(arguments: [
    "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:+80", "192.0.2.1:-1", "192.0.2.1: 80", "[::1]",
    "[::1]80", ":80", "host:80", "192.0.2.1:80:80",
  ])
  func whatIsNoEndpointIsRefused(text: String) {
    #expect(Endpoint(text) == nil)
  }

  @Test func aDefaultPortStandsInForAMissingOne() throws {
    #expect(try #require(Endpoint("192.0.2.1", defaultPort: 5060)).port == 5060)
    #expect(try #require(Endpoint("[::1]", defaultPort: 5060)) == Endpoint(.loopbackV6, port: 5060))
    #expect(try #require(Endpoint("::1", defaultPort: 5060)) == Endpoint(.loopbackV6, port: 5060))
    #expect(try #require(Endpoint("[::1]:80", defaultPort: 5060)).port == 80)
  }

  @Test func everyAddressSurvivesBeingWrittenAndRead() throws {
    var random = Random(seed: 5952)
    for _ in 0..<5000 {
      // Groups are often zero, so that gaps of every length and place come about.
      var words: [UInt64] = [0, 0]
      for index in 0..<8 where random.below(2) == 0 {
        words[index / 4] |= (random.next() & 0xFFFF) << UInt64(index % 4 * 16)
      }
      let address = IPAddress(high: words[0], low: words[1])
      #expect(IPAddress(address.description) == address)
      let endpoint = Endpoint(address, port: UInt16(truncatingIfNeeded: random.next()))
      #expect(Endpoint(endpoint.description) == endpoint)
    }
  }

  @Test func kindsOfAddressAreTold() throws {
    #expect(try #require(IPAddress("127.9.9.9")).isLoopback)
    #expect(try #require(IPAddress("169.254.0.1")).isLinkLocal)
    #expect(try #require(IPAddress("fe80::1")).isLinkLocal)
    #expect(try !#require(IPAddress("fec0::1")).isLinkLocal)
    #expect(try #require(IPAddress("224.0.0.1")).isMulticast)
    #expect(try #require(IPAddress("ff02::1")).isMulticast)
    #expect(try #require(IPAddress("255.255.255.255")).isBroadcast)
    #expect(IPAddress.anyV4.isUnspecified && IPAddress.anyV6.isUnspecified)
    #expect(try !#require(IPAddress("192.0.2.1")).isUnspecified)
  }
}
