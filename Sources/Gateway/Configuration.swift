package import JSON
package import MediaPlane
package import Web
package import Wire

/// What the configuration file says, with the defaults of everything it does not say.
///
/// A value: read once at start and again on reload, compared to see what changed. It names listeners, ports and
/// paths; who lives in the building is the directory's.
package struct Configuration: Equatable, Sendable {
  package struct Gateway: Equatable, Sendable {
    package var name = "vestibule"
    /// The SIP domain, and the realm of every digest.
    package var domain = "vestibule.local"
    /// Further names by which a request may address this building.
    package var aliases: [String] = []
  }
  package struct SIP: Equatable, Sendable {
    package var udp = [Endpoint(.anyV4, port: 5060)]
    package var tcp = [Endpoint(.anyV4, port: 5060)]
    package var tls = [Endpoint(.anyV4, port: 5061)]
  }
  package struct HTTP: Equatable, Sendable {
    package var plain = [Endpoint(.anyV4, port: 8080)]
    package var tls = [Endpoint(.anyV4, port: 8443)]
    package var publicURL: String?
    package var allowedOrigins: [String] = []

    /// Scheme, host and port of `publicURL`, as browsers write an origin: a scheme's own port is not said.
    package var publicOrigin: String? {
      guard let publicURL else { return nil }
      let parts = publicURL.split(separator: "/", omittingEmptySubsequences: false)
      guard parts.count >= 3 else { return nil }
      let origin = parts[..<3].joined(separator: "/").lowercased()
      for (scheme, port) in [("https:", ":443"), ("http:", ":80")]
      where origin.hasPrefix(scheme) && origin.hasSuffix(port) {
        return String(origin.dropLast(port.count))
      }
      return origin
    }
  }
  package struct TLS: Equatable, Sendable {
    /// PEM files; nil means a self-signed certificate in the state directory.
    package var certificate: String?
    package var key: String?
  }
  package struct Media: Equatable, Sendable {
    /// The addresses that media may use; empty means whichever the signalling came in on.
    package var addresses: [IPAddress] = []
    package var ports: ClosedRange<UInt16> = 40000...40999
    package var webrtcPort: UInt16 = 8189
    package var ice = ICE.auto
    package var stun: [PeerServer] = []
    package var turn: [PeerServer] = []
  }
  package enum ICE: String, CaseIterable, Sendable { case lite, full, auto }
  package struct Snapshots: Equatable, Sendable {
    /// How long the pictures of a ring are kept; 0: none are.
    package var days = 7
  }
  package struct Uplink: Equatable, Sendable {
    package var url: String
    package var domain: String
  }

  package var gateway = Gateway()
  package var sip = SIP()
  package var http = HTTP()
  package var tls = TLS()
  package var media = Media()
  package var snapshots = Snapshots()
  package var controlSocket = Configuration.defaultControlSocket
  package var uplink: Uplink?

  package static let defaultControlSocket = "/run/vestibule/control.sock"

  package init() {}

  /// Reads a JSON5 file. Every fault of it is in `report`, with line, column, key and what was expected; the value
  /// is meaningful only when there is none.
  package init(parsing bytes: [UInt8], report: JSONReport) {
    self.init()
    let root: JSONNode
    do throws(JSONError) {
      root = try JSONNode(parsing: bytes, dialect: .json5, file: report.file)
    } catch {
      report.add(error)
      return
    }
    var read = Configuration()
    ValueReader(root, report: report).object { file in
      file.section("gateway") { section in
        read.gateway.name = section.string("name", default: read.gateway.name)
        read.gateway.domain = section.string("domain", default: read.gateway.domain).lowercased()
        read.gateway.aliases = section.strings("aliases").map { $0.lowercased() }
      }
      file.section("sip") { section in
        read.sip.udp = section.endpoints("udp", default: read.sip.udp, port: 5060)
        read.sip.tcp = section.endpoints("tcp", default: read.sip.tcp, port: 5060)
        read.sip.tls = section.endpoints("tls", default: read.sip.tls, port: 5061)
      }
      file.section("http") { section in
        read.http.plain = section.endpoints("plain", default: read.http.plain, port: 8080)
        read.http.tls = section.endpoints("tls", default: read.http.tls, port: 8443)
        read.http.publicURL = section.publicURL("publicURL")
        read.http.allowedOrigins = section.strings("allowedOrigins")
      }
      file.section("tls") { section in
        read.tls.certificate = section.optionalString("certificate", limit: 4096)
        read.tls.key = section.optionalString("key", limit: 4096)
        if (read.tls.certificate == nil) != (read.tls.key == nil) {
          section.value.wrong(expected: "both \"certificate\" and \"key\", or neither")
        }
      }
      file.section("media") { section in
        read.media.addresses = section.list("addresses").compactMap { item in
          guard let text = item.string() else { return nil }
          guard let address = IPAddress(text) else {
            item.wrong(expected: "an IP address", found: text)
            return nil
          }
          return address
        }
        read.media.ports = section.portRange("ports", default: read.media.ports)
        read.media.webrtcPort = UInt16(
          section.integer("webrtcPort", default: Int(read.media.webrtcPort), in: 0...65535))
        read.media.ice = section.choice("ice", default: read.media.ice)
        read.media.stun = section.stunServers("stun")
        read.media.turn = section.turnServers("turn")
      }
      file.section("snapshots") { section in
        read.snapshots.days = section.integer("days", default: read.snapshots.days, in: 0...30)
      }
      file.section("control") { section in
        read.controlSocket = section.string("socket", default: read.controlSocket, limit: 107)
      }
      read.uplink = file.object("uplink") { section in
        Uplink(url: section.string("url"), domain: section.string("domain"))
      }
    }
    self = read
  }
}

extension ObjectReader {
  /// A list of `ADDRESS:PORT`; the port may be left out.
  fileprivate mutating func endpoints(
    _ key: String, default fallback: [Endpoint], port: UInt16
  ) -> [Endpoint] {
    guard let member = member(key) else { return fallback }
    return (member.list(limit: 16) ?? []).compactMap { item in
      guard let text = item.string() else { return nil }
      guard let endpoint = Endpoint(text, defaultPort: port) else {
        item.wrong(expected: "an address and a port, such as \"0.0.0.0:\(port)\"", found: text)
        return nil
      }
      return endpoint
    }
  }

  /// `https://HOST[:PORT][/PATH]`, kept without a slash at its end.
  fileprivate mutating func publicURL(_ key: String) -> String? {
    guard let member = presentMember(key), let text = member.string() else { return nil }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count >= 3, parts[0] == "https:" || parts[0] == "http:", parts[1].isEmpty, !parts[2].isEmpty,
      text.utf8.allSatisfy({ $0 > 32 && $0 < 127 && !"?#\"<>".utf8.contains($0) })
    else {
      member.wrong(expected: "an address such as \"https://door.example.net\"", found: text)
      return nil
    }
    return String(text.reversed().drop { $0 == "/" }.reversed())
  }

  /// `FIRST-LAST`, an even number of ports, at least one pair.
  fileprivate mutating func portRange(
    _ key: String, default fallback: ClosedRange<UInt16>
  ) -> ClosedRange<UInt16> {
    guard let member = member(key), let text = member.string() else { return fallback }
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, let first = UInt16(parts[0]), let last = UInt16(parts[1]), first >= 1024,
      last > first
    else {
      member.wrong(expected: "two ports from 1024 up, such as \"40000-40999\"", found: text)
      return fallback
    }
    return first...last
  }
}

extension Configuration {
  /// Pages under any name of ours are our own, and so are those of the address that operators publish.
  package var originPolicy: OriginPolicy {
    var names = [gateway.domain, gateway.name, gateway.name + ".local"] + gateway.aliases
    if let url = http.publicURL, let host = url.split(separator: "/").dropFirst().first {
      names.append(String(host.prefix { $0 != ":" }))
    }
    return OriginPolicy(names: names, published: http.publicOrigin, allowed: http.allowedOrigins)
  }
}
