package import JSON
package import Wire

/// Why a call ended.
package enum CallEnd: String, CaseIterable, Sendable {
  case answered, noanswer, busy, declined, cancelled, unreachable, refused, failed
}

/// One leg of a call, live or past.
package struct LegView: APIValue {
  /// Account or station.
  package var account: String
  /// trying, ringing, answered or ended.
  package var state: String
  /// The last SIP status; nil before the first.
  package var code: Int?
  package var codec: String?
  package var packetsIn: Int
  package var packetsOut: Int
  package var lost: Int
  /// Milliseconds.
  package var jitter: Int
  /// Packets of strangers to this leg's ports: counted and dropped.
  package var foreign: Int
  /// Milliseconds; nil when the peer never reported.
  package var roundTrip: Int?
  /// The mean opinion score in hundredths, 100 to 441 (ITU-T G.107): `mos` in the JSON, divided. Nil when too little was
  /// heard.
  package var opinion: Int?

  package init(
    account: String, state: String, code: Int? = nil, codec: String? = nil, packetsIn: Int = 0,
    packetsOut: Int = 0, lost: Int = 0, jitter: Int = 0, foreign: Int = 0, roundTrip: Int? = nil,
    opinion: Int? = nil
  ) {
    self.roundTrip = roundTrip
    self.opinion = opinion
    self.account = account
    self.state = state
    self.code = code
    self.codec = codec
    self.packetsIn = packetsIn
    self.packetsOut = packetsOut
    self.lost = lost
    self.jitter = jitter
    self.foreign = foreign
  }
  package init(_ reader: inout ObjectReader) {
    account = reader.string("account")
    state = reader.string("state")
    code = reader.optionalInteger("code")
    codec = reader.text("codec")
    packetsIn = reader.integer("packetsIn", default: 0)
    packetsOut = reader.integer("packetsOut", default: 0)
    lost = reader.integer("lost", default: 0)
    jitter = reader.integer("jitter", default: 0)
    foreign = reader.integer("foreign", default: 0)
    roundTrip = reader.optionalInteger("roundTrip")
    opinion = reader.presentMember("mos")?.number(in: 0...5).map { Int($0 * 100 + 0.5) }
  }
  package var json: JSONValue {
    [
      "account": .string(account), "state": .string(state), "code": .integer(orNull: code),
      "codec": .string(orNull: codec), "packetsIn": .integer(packetsIn), "packetsOut": .integer(packetsOut),
      "lost": .integer(lost), "jitter": .integer(jitter), "foreign": .integer(foreign),
      "roundTrip": .integer(orNull: roundTrip), "mos": opinion.map { .number(Double($0) / 100) } ?? .null,
    ]
  }
  package static var example: LegView {
    LegView(
      account: "panel401", state: "answered", code: 200, codec: "PCMA/8000", packetsIn: 501,
      packetsOut: 499, lost: 2, jitter: 3, roundTrip: 12, opinion: 437)
  }
}

/// A still picture of a call.
package struct SnapshotView: APIValue {
  /// ring, after (two seconds later) or end.
  package var moment: String
  package var at: WallTime
  /// Where it can be had, below the gateway's own address.
  package var url: String

  package init(moment: String, at: WallTime, url: String) {
    self.moment = moment
    self.at = at
    self.url = url
  }
  package init(_ reader: inout ObjectReader) {
    moment = reader.string("moment")
    at = reader.requiredTime("at")
    url = reader.string("url", default: "", limit: 4096)
  }
  package var json: JSONValue {
    ["moment": .string(moment), "at": .time(at), "url": .string(url)]
  }
  package static var example: SnapshotView {
    SnapshotView(
      moment: "ring", at: WallTime(seconds: 1_795_210_100), url: "/api/v1/calls/c1f0/snapshots/ring")
  }
}

/// A call, live (`ended` and `end` are nil) or past.
package struct CallView: APIValue {
  package var id: String
  package var from: String
  package var target: String
  package var unit: String?
  package var started: WallTime
  package var answered: WallTime?
  package var ended: WallTime?
  package var end: CallEnd?
  package var legs: [LegView]
  /// Still pictures of the station's camera, the oldest first.
  package var snapshots: [SnapshotView]

  package init(
    id: String, from: String, target: String, unit: String?, started: WallTime, answered: WallTime?,
    ended: WallTime?, end: CallEnd?, legs: [LegView], snapshots: [SnapshotView] = []
  ) {
    self.snapshots = snapshots
    self.id = id
    self.from = from
    self.target = target
    self.unit = unit
    self.started = started
    self.answered = answered
    self.ended = ended
    self.end = end
    self.legs = legs
  }
  package init(_ reader: inout ObjectReader) {
    id = reader.string("id")
    from = reader.string("from")
    target = reader.string("target")
    unit = reader.text("unit")
    started = reader.requiredTime("started")
    answered = reader.time("answered")
    ended = reader.time("ended")
    end = reader.presentMember("end")?.choice(CallEnd.self)
    legs = reader.values("legs")
    snapshots = reader.values("snapshots")
  }
  package var json: JSONValue {
    [
      "id": .string(id), "from": .string(from), "target": .string(target), "unit": .string(orNull: unit),
      "started": .time(started), "answered": .time(answered), "ended": .time(ended),
      "end": .string(orNull: end?.rawValue), "legs": legs.json,
      "snapshots": snapshots.json,
    ]
  }
  package static var example: CallView {
    CallView(
      id: "c1f0", from: "intercom-main", target: "401", unit: "401",
      started: WallTime(seconds: 1_795_210_100), answered: WallTime(seconds: 1_795_210_106),
      ended: WallTime(seconds: 1_795_210_119), end: .answered, legs: [.example],
      snapshots: [.example])
  }
}

/// Something that happened. What else there is to say stands in `details`, in order.
package struct EventView: APIValue {
  /// Grows by one from event to event; a stream is taken up after it.
  package var id: Int
  /// call.ringing, call.answered, call.ended, door.attempt, device.registered, device.lost, ban.set, or later ones.
  package var type: String
  package var at: WallTime
  package var details: [JSONField]

  package init(id: Int, type: String, at: WallTime, details: [JSONField]) {
    self.id = id
    self.type = type
    self.at = at
    self.details = details
  }
  package init(_ reader: inout ObjectReader) {
    id = reader.integer("id", in: 0...Int.max)
    type = reader.string("type")
    at = reader.requiredTime("at")
    var fields: [JSONField] = []
    if case .object(let members) = reader.value.node.content {
      for member in members where !["id", "type", "at"].contains(member.key) {
        fields.append(JSONField(member.key, member.value.value))
      }
    }
    details = fields
  }
  package var json: JSONValue {
    .object(
      [JSONField("id", .integer(id)), JSONField("type", .string(type)), JSONField("at", .time(at))] + details)
  }
  package static var example: EventView {
    EventView(
      id: 42, type: "door.attempt", at: WallTime(seconds: 1_795_210_119),
      details: [JSONField("door", "entrance"), JSONField("result", "opened")])
  }
}
