package import JSON
package import Wire

/// Everything a device must know to be part of the building, in the forms that devices read. It holds secrets: it is
/// answered once and never logged.
package struct DeviceProfile: Hashable, Sendable {
  package var username: String
  package var secret: String
  package var domain: String
  /// How people read the account.
  package var display: String
  /// Where the gateway is reached for SIP, where it listens for it.
  package var udp: Endpoint?
  package var tcp: Endpoint?
  package var tls: Endpoint?
  /// `wss://ADDRESS:PORT/sip`.
  package var wss: String?
  package var bearer: String
  /// Addresses of the cameras that its unit may see.
  package var whep: [String]
  /// When the bearer ends unless it is used.
  package var expires: WallTime
  /// False while the gateway shows a certificate of its own making, which no device can check.
  package var hasKnownCertificate: Bool

  package init(
    username: String, secret: String, domain: String, display: String, udp: Endpoint?, tcp: Endpoint?,
    tls: Endpoint?, wss: String?, bearer: String, whep: [String], expires: WallTime,
    hasKnownCertificate: Bool
  ) {
    self.username = username
    self.secret = secret
    self.domain = domain
    self.display = display
    self.udp = udp
    self.tcp = tcp
    self.tls = tls
    self.wss = wss
    self.bearer = bearer
    self.whep = whep
    self.expires = expires
    self.hasKnownCertificate = hasKnownCertificate
  }

  package var json: JSONValue {
    [
      "username": .string(username), "secret": .string(secret), "domain": .string(domain),
      "sip": [
        "udp": .string(orNull: udp.map { "sip:\($0);transport=udp" }),
        "tcp": .string(orNull: tcp.map { "sip:\($0);transport=tcp" }),
        "tls": .string(orNull: tls.map { "sip:\($0);transport=tls" }), "wss": .string(orNull: wss),
      ],
      "bearer": .string(bearer), "whep": .strings(whep), "expires": .string(expires.description),
    ]
  }

  /// The registrar that a device should use: the safest it has.
  private var registrar: (endpoint: Endpoint, transport: String)? {
    if let tls { return (tls, "tls") }
    if let tcp { return (tcp, "tcp") }
    return udp.map { ($0, "udp") }
  }

  /// Linphone's remote provisioning: its own configuration file as XML. The account replaces what stood first; a
  /// certificate that nobody can check is taken, else the telephone would never register.
  package var linphone: String {
    var proxy: [(String, String)] = []
    if let registrar {
      proxy = [
        ("reg_proxy", "<sip:\(registrar.endpoint);transport=\(registrar.transport)>"),
        ("reg_identity", "\(ASCII.quoted(display)) <sip:\(username)@\(domain)>"), ("reg_expires", "600"),
        ("reg_sendregister", "1"), ("publish", "0"), ("push_notification_allowed", "0"),
      ]
    }
    let checks = hasKnownCertificate ? "1" : "0"
    let sections: [(String, [(String, String)])] = [
      (
        "sip",
        [
          ("default_proxy", "0"), ("verify_server_certs", checks), ("verify_server_cn", checks),
          ("media_encryption", "none"), ("register_only_when_network_is_up", "1"),
        ]
      ),
      ("proxy_0", proxy),
      (
        "auth_info_0",
        [("username", username), ("passwd", secret), ("realm", domain), ("domain", domain)]
      ),
    ]
    var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    text += "<config xmlns=\"http://www.linphone.org/xsds/lpconfig.xsd\">\n"
    for (name, entries) in sections where !entries.isEmpty {
      text += "  <section name=\"\(name)\">\n"
      for (key, value) in entries {
        text += "    <entry name=\"\(key)\" overwrite=\"true\">\(DeviceProfile.escaped(value))</entry>\n"
      }
      text += "  </section>\n"
    }
    return text + "</config>\n"
  }

  /// Akuvox's autoprovisioning: one setting a line. Panels and stations of this make read the first account from it.
  package var akuvox: String {
    let kinds = ["udp": "0", "tcp": "1", "tls": "2"]
    // Over UDP where it can be: it is what every firmware speaks; a certificate of our own making they refuse.
    let plain = udp.map { ($0, "udp") } ?? tcp.map { ($0, "tcp") }
    guard let (endpoint, transport) = (hasKnownCertificate ? registrar : plain) ?? registrar else {
      return ""
    }
    let lines: [(String, String)] = [
      ("GENERAL.Enable", "1"), ("GENERAL.Label", display), ("GENERAL.DisplayName", display),
      ("GENERAL.UserName", username), ("GENERAL.AuthName", username), ("GENERAL.Pwd", secret),
      ("SIP.Server", "\(endpoint.address)"), ("SIP.Port", "\(endpoint.port)"),
      ("SIP.TransType", kinds[transport] ?? "0"), ("REG.Timeout", "300"), ("OUTPROXY.Enable", "1"),
      ("OUTPROXY.Server", "\(endpoint.address)"), ("OUTPROXY.Port", "\(endpoint.port)"),
    ]
    return lines.map { "Config.Account1.\($0.0) = \(DeviceProfile.oneLine($0.1))\n" }.joined()
  }

  private static func escaped(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      case _ where scalar.value < 32: out += " "
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  private static func oneLine(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 32 ? " " : $0 }))
  }
}

extension DeviceProfile: CustomStringConvertible {
  /// Without the secrets.
  package var description: String { "profile of \(username)" }
}
