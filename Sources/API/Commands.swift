package import JSON
package import Wire

// What the commands of `/api/v1` take and give back.

/// What `apply` did, or would do.
package struct ApplyReply: APIValue {
  /// False for a dry run.
  package var applied: Bool
  /// Names with their kind, such as `unit 401`.
  package var added: [String]
  package var changed: [String]
  package var removed: [String]
  package var warnings: [String]

  package init(applied: Bool, added: [String], changed: [String], removed: [String], warnings: [String]) {
    self.applied = applied
    self.added = added
    self.changed = changed
    self.removed = removed
    self.warnings = warnings
  }
  package init(_ reader: inout ObjectReader) {
    applied = reader.bool("applied", default: false)
    added = reader.strings("added", limit: 1_000_000)
    changed = reader.strings("changed", limit: 1_000_000)
    removed = reader.strings("removed", limit: 1_000_000)
    warnings = reader.strings("warnings", limit: 1_000_000)
  }
  package var json: JSONValue {
    [
      "applied": .bool(applied), "added": .strings(added), "changed": .strings(changed),
      "removed": .strings(removed), "warnings": .strings(warnings),
    ]
  }
  package static var example: ApplyReply {
    ApplyReply(
      applied: true, added: ["unit 403"], changed: ["station intercom-main"], removed: ["account old"],
      warnings: ["a warning"])
  }
}

/// In what form a new credential is wanted.
package enum EnrollFormat: String, CaseIterable, Sendable {
  case sip, url, linphone, akuvox, png, svg
}

package struct EnrollRequest: APIValue {
  package var format: EnrollFormat
  /// Ends all earlier credentials with their registrations and calls.
  package var replace: Bool

  package init(format: EnrollFormat, replace: Bool = false) {
    self.format = format
    self.replace = replace
  }
  package init(_ reader: inout ObjectReader) {
    format = reader.choice("format", default: .sip)
    replace = reader.bool("replace", default: false)
  }
  package var json: JSONValue { ["format": .string(format.rawValue), "replace": .bool(replace)] }
  package static var example: EnrollRequest { EnrollRequest(format: .sip, replace: false) }
}

/// A credential for a device that an installer types into. The only time its secret is shown.
package struct SIPCredential: APIValue {
  package var username: String
  package var secret: String
  package var domain: String

  package init(username: String, secret: String, domain: String) {
    self.username = username
    self.secret = secret
    self.domain = domain
  }
  package init(_ reader: inout ObjectReader) {
    username = reader.string("username")
    secret = reader.string("secret")
    domain = reader.string("domain")
  }
  package var json: JSONValue {
    ["username": .string(username), "secret": .string(secret), "domain": .string(domain)]
  }
  package static var example: SIPCredential {
    SIPCredential(
      username: "panel401", secret: "00000000000000000000000000000000", domain: "vestibule.local")
  }
}

extension SIPCredential: CustomStringConvertible {
  /// Without the secret.
  package var description: String { "credential of \(username)" }
}

/// A one-time link by which a device enrols itself.
package struct EnrollmentLink: APIValue {
  package var url: String
  package var expires: WallTime
  /// The link as a QR code: one text a row, `1` for a dark module, without the quiet zone.
  package var qr: [String]

  package init(url: String, expires: WallTime, qr: [String]) {
    self.url = url
    self.expires = expires
    self.qr = qr
  }
  package init(_ reader: inout ObjectReader) {
    url = reader.string("url", limit: 4096)
    expires = reader.requiredTime("expires")
    qr = reader.strings("qr", limit: 177)
  }
  package var json: JSONValue {
    ["url": .string(url), "expires": .time(expires), "qr": .strings(qr)]
  }
  package static var example: EnrollmentLink {
    EnrollmentLink(
      url: "https://192.0.2.1:8443/#enroll=0000", expires: WallTime(seconds: 1_795_210_719),
      qr: ["101", "010", "101"])
  }
}

extension EnrollmentLink: CustomStringConvertible {
  /// Without the token.
  package var description: String { "link until \(expires)" }
}

package struct RevokeReply: APIValue {
  package var username: String
  /// How many credentials ended.
  package var revoked: Int

  package init(username: String, revoked: Int) {
    self.username = username
    self.revoked = revoked
  }
  package init(_ reader: inout ObjectReader) {
    username = reader.string("username")
    revoked = reader.integer("revoked", in: 0...Int.max)
  }
  package var json: JSONValue { ["username": .string(username), "revoked": .integer(revoked)] }
  package static var example: RevokeReply { RevokeReply(username: "panel401", revoked: 2) }
}

package struct DoNotDisturb: APIValue {
  package var dnd: Bool

  package init(dnd: Bool) { self.dnd = dnd }
  package init(_ reader: inout ObjectReader) {
    dnd = reader.requiredMember("dnd", "true or false")?.bool() ?? false
  }
  package var json: JSONValue { ["dnd": .bool(dnd)] }
  package static var example: DoNotDisturb { DoNotDisturb(dnd: true) }
}

/// What came of a command to a door.
package struct OpenReply: APIValue {
  package var door: String
  /// opened, refused or unknown.
  package var result: String
  package var reason: String?

  package init(door: String, result: String, reason: String?) {
    self.door = door
    self.result = result
    self.reason = reason
  }
  package init(_ reader: inout ObjectReader) {
    door = reader.string("door")
    result = reader.string("result")
    reason = reader.text("reason")
  }
  package var json: JSONValue {
    ["door": .string(door), "result": .string(result), "reason": .string(orNull: reason)]
  }
  package static var example: OpenReply {
    OpenReply(door: "entrance", result: "refused", reason: "cooldown")
  }
}

/// The right to see a camera for a while.
package struct CameraToken: APIValue {
  package var token: String
  package var expires: WallTime
  /// The address of its WHEP resource.
  package var whep: String

  package init(token: String, expires: WallTime, whep: String) {
    self.token = token
    self.expires = expires
    self.whep = whep
  }
  package init(_ reader: inout ObjectReader) {
    token = reader.string("token")
    expires = reader.requiredTime("expires")
    whep = reader.string("whep", limit: 4096)
  }
  package var json: JSONValue {
    ["token": .string(token), "expires": .time(expires), "whep": .string(whep)]
  }
  package static var example: CameraToken {
    CameraToken(
      token: "00000000000000000000000000000000", expires: WallTime(seconds: 1_795_210_119),
      whep: "https://192.0.2.1:8443/whep/entrance")
  }
}

extension CameraToken: CustomStringConvertible {
  /// Without the token.
  package var description: String { "token for \(whep)" }
}

/// Asks for the right to place one test call as a station.
package struct RingRequest: APIValue {
  package var target: String
  /// The station to call as; nil for the first one.
  package var station: String?
  /// How long the call lasts once answered.
  package var seconds: Int

  package init(target: String, station: String?, seconds: Int) {
    self.target = target
    self.station = station
    self.seconds = seconds
  }
  package init(_ reader: inout ObjectReader) {
    target = reader.string("target")
    station = reader.optionalString("as")
    seconds = reader.integer("seconds", default: 10, in: 1...120)
  }
  package var json: JSONValue {
    ["target": .string(target), "as": .string(orNull: station), "seconds": .integer(seconds)]
  }
  package static var example: RingRequest {
    RingRequest(target: "401", station: "intercom-main", seconds: 10)
  }
}

/// The right to place one call: a credential that is good for one INVITE and soon expires.
package struct RingTicket: APIValue {
  /// Names the test; its report is asked for by it.
  package var id: String
  package var username: String
  package var secret: String
  package var domain: String
  /// Where the gateway listens for SIP over UDP, reachable from this machine: `127.0.0.1:5060`.
  package var addresses: [String]
  /// The request URI to call.
  package var target: String
  package var expires: WallTime

  package init(
    id: String, username: String, secret: String, domain: String, addresses: [String], target: String,
    expires: WallTime
  ) {
    self.id = id
    self.username = username
    self.secret = secret
    self.domain = domain
    self.addresses = addresses
    self.target = target
    self.expires = expires
  }
  package init(_ reader: inout ObjectReader) {
    id = reader.string("id")
    username = reader.string("username")
    secret = reader.string("secret")
    domain = reader.string("domain")
    addresses = reader.strings("addresses")
    target = reader.string("target", limit: 4096)
    expires = reader.requiredTime("expires")
  }
  package var json: JSONValue {
    [
      "id": .string(id), "username": .string(username), "secret": .string(secret),
      "domain": .string(domain), "addresses": .strings(addresses), "target": .string(target),
      "expires": .time(expires),
    ]
  }
  package static var example: RingTicket {
    RingTicket(
      id: "t1", username: "test-1", secret: "00000000000000000000000000000000", domain: "vestibule.local",
      addresses: ["127.0.0.1:5060"], target: "sip:401@vestibule.local",
      expires: WallTime(seconds: 1_795_210_119))
  }
}

extension RingTicket: CustomStringConvertible {
  /// Without the secret.
  package var description: String { "test call \(id) to \(target)" }
}

/// What the gateway saw of a test call.
package struct RingView: APIValue {
  /// waiting (no INVITE yet), live or ended.
  package var state: String
  package var answered: Bool
  /// The account that answered.
  package var by: String?
  package var end: CallEnd?
  package var legs: [LegView]

  package init(state: String, answered: Bool, by: String?, end: CallEnd?, legs: [LegView]) {
    self.state = state
    self.answered = answered
    self.by = by
    self.end = end
    self.legs = legs
  }
  package init(_ reader: inout ObjectReader) {
    state = reader.string("state")
    answered = reader.bool("answered", default: false)
    by = reader.text("by")
    end = reader.presentMember("end")?.choice(CallEnd.self)
    legs = reader.values("legs")
  }
  package var json: JSONValue {
    [
      "state": .string(state), "answered": .bool(answered), "by": .string(orNull: by),
      "end": .string(orNull: end?.rawValue), "legs": legs.json,
    ]
  }
  package static var example: RingView {
    RingView(state: "ended", answered: true, by: "panel401", end: .answered, legs: [.example])
  }
}

/// What `vestibule ring` prints: the gateway's view and what this end sent and heard.
package struct RingReport: APIValue {
  /// RTP packets of audio.
  package struct Audio: APIValue {
    package var sent: Int
    package var received: Int

    package init(sent: Int, received: Int) {
      self.sent = sent
      self.received = received
    }
    package init(_ reader: inout ObjectReader) {
      sent = reader.integer("sent", in: 0...Int.max)
      received = reader.integer("received", in: 0...Int.max)
    }
    package var json: JSONValue { ["sent": .integer(sent), "received": .integer(received)] }
    package static var example: Audio { Audio(sent: 500, received: 498) }
  }
  package var answered: Bool
  package var by: String?
  package var legs: [LegView]
  package var audio: Audio

  package init(answered: Bool, by: String?, legs: [LegView], audio: Audio) {
    self.answered = answered
    self.by = by
    self.legs = legs
    self.audio = audio
  }
  package init(_ reader: inout ObjectReader) {
    answered = reader.bool("answered", default: false)
    by = reader.text("by")
    legs = reader.values("legs")
    audio = reader.value("audio") ?? Audio(sent: 0, received: 0)
  }
  package var json: JSONValue {
    ["answered": .bool(answered), "by": .string(orNull: by), "legs": legs.json, "audio": audio.json]
  }
  package static var example: RingReport {
    RingReport(answered: true, by: "panel401", legs: [.example], audio: .example)
  }
}
