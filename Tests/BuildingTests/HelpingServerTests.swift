import Gateway
import ICE
import JSON
import MediaPlane
import Testing
import Wire

/// STUN and TURN servers as the configuration file names them.
struct HelpingServerTests {
  private func read(_ media: String) -> (media: Configuration.Media, faults: [String]) {
    let report = JSONReport(file: "test")
    let configuration = Configuration(parsing: Array("{ media: { \(media) } }".utf8), report: report)
    return (configuration.media, report.errors.map(\.description))
  }

  @Test(arguments: [
    ("stun.example.net", "stun.example.net", 3478), ("stun:stun.example.net", "stun.example.net", 3478),
    ("stun:stun.example.net:19302", "stun.example.net", 19302), ("STUN:192.0.2.1:1", "192.0.2.1", 1),
    ("stun:[2001:db8::1]", "2001:db8::1", 3478), ("[2001:db8::1]:99", "2001:db8::1", 99),
    ("stun:stun.example.net?transport=udp", "stun.example.net", 3478),
  ])
  func aServersAddressIsRead(text: String, host: String, port: UInt16) {
    let (media, faults) = read("stun: [\"\(text)\"]")
    #expect(media.stun == [PeerServer(host: host, port: port)] && faults.isEmpty)
  }

  @Test(arguments: [
    "", "stun:", "stuns:stun.example.net", "turn:stun.example.net", "stun:a:b:c", "stun:host:0",
    "stun:host:70000",
    "stun:host?transport=tcp", "stun:user:word@host", "stun:ho st", "[2001:db8::1", "[stun]:1", "host:",
  ])
  func whatIsNoServerIsSaid(text: String) {
    let (media, faults) = read("stun: [\"\(text)\"]")
    #expect(media.stun.isEmpty && faults.count == 1 && faults[0].contains("media.stun[0]"))
  }

  @Test func aRelayHasAnAccount() {
    let server = PeerServer(
      host: "relay.example.net", port: 3479,
      account: ICEServer.Account(username: "gate", password: "se:cr@t"))
    let object = read(
      "turn: [{ url: \"turn:relay.example.net:3479\", username: \"gate\", password: \"se:cr@t\" }]")
    #expect(object.media.turn == [server] && object.faults.isEmpty)
    let text = read("turn: [\"turn:gate:se:cr@t@relay.example.net:3479\"]")
    #expect(text.media.turn == [server] && text.faults.isEmpty)
  }

  @Test(arguments: [
    "\"turn:relay.example.net\"", "{ url: \"turn:relay.example.net\", username: \"gate\" }",
    "{ url: \"turns:relay.example.net\", username: \"a\", password: \"b\" }",
    "{ url: \"turn:relay.example.net\", username: \"a\", credential: \"b\" }", "7",
    "\"turn:gate:open sesame@relay.example.net?transport=tcp\"",
  ])
  func aRelayThatCannotBeUsedIsSaidAndItsPasswordIsNot(text: String) {
    let (_, faults) = read("turn: [\(text)]")
    #expect(!faults.isEmpty && faults.allSatisfy { $0.contains("media.turn[0]") && !$0.contains("sesame") })
  }
}
