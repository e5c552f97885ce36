import Gateway
import HTTP
import JSON
import Testing
import Web
import Wire

/// Whose pages may speak to the gateway, as the configuration file says.
@Suite struct OriginTests {
  private func policy(_ http: String) -> OriginPolicy {
    let report = JSONReport(file: "test")
    let configuration = Configuration(parsing: Array("{ http: { \(http) } }".utf8), report: report)
    #expect(report.errors.isEmpty)
    return configuration.originPolicy
  }

  /// Behind a proxy that ends TLS the request comes in the clear, to whatever host the proxy calls us.
  @Test(arguments: [
    ("https://door.example.net", "https://door.example.net"),
    ("https://door.example.net/", "https://door.example.net"),
    ("https://Door.example.net:443/entrance", "https://door.example.net"),
    ("https://door.example.net:8443", "https://door.example.net:8443"),
    ("http://door.example.net:80", "http://door.example.net"),
  ])
  func pagesOfThePublishedAddressAreOurOwnBehindAProxyToo(url: String, origin: String) {
    let policy = policy("publicURL: \"\(url)\"")
    func admits(_ origin: String, _ host: String) -> Bool {
      let request = HTTPRequest(.get, "/sip", fields: ["Host": host, "Origin": origin])
      return policy.admits(
        request, from: .remote(Endpoint(IPAddress(v4: 0x0A00_0009), port: 4000), isSecure: false))
    }
    for host in ["10.0.0.5:8080", "door.example.net", "upstream"] {
      #expect(admits(origin, host))
      #expect(!admits("https://evil.example", host))
      #expect(!admits(origin + "1", host))
    }
    // In the clear only what was served in the clear.
    #expect(!admits("https://vestibule.local", "vestibule.local"))
    #expect(admits("http://vestibule.local", "vestibule.local"))
  }
}
