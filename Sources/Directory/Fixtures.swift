package import Wire

/// Where the gateway stands.
package struct Site: Hashable, Sendable {
  package var id: String
  package var name: String
  package var address: String
  /// A tz database name; schedules are in it.
  package var timezone: String
  package var emergency: [EmergencyNumber]

  package init(
    id: String = "site", name: String = "", address: String = "", timezone: String = "UTC",
    emergency: [EmergencyNumber] = []
  ) {
    self.id = id
    self.name = name
    self.address = address
    self.timezone = timezone
    self.emergency = emergency
  }
}

/// A number that goes ahead of rules, do not disturb, schedules, call waiting and limits.
package struct EmergencyNumber: Hashable, Sendable {
  package var number: String
  /// Whom it rings; empty: nobody, and the caller gets 404.
  package var targets: [RuleTarget]

  package init(_ number: String, targets: [RuleTarget] = []) {
    self.number = number
    self.targets = targets
  }
}

/// A door station: what visitors call from.
package struct Station: Hashable, Sendable {
  package var username: StationName
  /// Shown on every panel it rings.
  package var name: String
  package var camera: CameraID?
  package var door: DoorID?
  /// From here it may call without registering; the port is used only for calls to it.
  package var address: Endpoint?
  /// The longest a call may last once answered.
  package var maxTalk: Interval
  package var hangupAfterOpen: Bool
  package var digest: DigestChoice

  package static let usualPort: UInt16 = 5060

  package init(
    username: StationName, name: String = "", camera: CameraID? = nil, door: DoorID? = nil,
    address: Endpoint? = nil, maxTalk: Interval = .seconds(180), hangupAfterOpen: Bool = false,
    digest: DigestChoice = .auto
  ) {
    self.username = username
    self.name = name
    self.camera = camera
    self.door = door
    self.address = address
    self.maxTalk = maxTalk
    self.hangupAfterOpen = hangupAfterOpen
    self.digest = digest
  }
}

package struct Camera: Hashable, Sendable {
  package enum Source: Hashable, Sendable {
    /// A capture device of this machine.
    case v4l2(path: String)
    /// Without username and password.
    case rtsp(url: String)
    /// The H.264 of a station's own call, while it lasts.
    case call(StationName)
    case pattern

    /// Nobody here decodes them, so nothing can be changed in them.
    package var passesPicturesAsTheyAre: Bool {
      switch self {
      case .rtsp, .call: true
      case .v4l2, .pattern: false
      }
    }

    package var written: String {
      switch self {
      case .v4l2(let path): "v4l2:\(path)"
      case .rtsp(let url): url
      case .call(let station): "sip:\(station)"
      case .pattern: "test:pattern"
      }
    }
  }
  /// When the accounts of a unit may see it.
  package enum View: String, CaseIterable, Hashable, Sendable {
    /// While its station rings or talks to them.
    case ring
    case always
  }

  package var id: CameraID
  package var source: Source
  /// The smaller stream of a network camera, for viewers who cannot carry the main one.
  package var substream: String?
  package var username: String?
  package var password: DevicePassword
  package var view: View
  /// Of a camera that is not the network's.
  package var capture: Capture
  /// The sound card whose sound belongs to the pictures of such a camera, as ALSA's programs take it (`hw:1,0`).
  package var microphone: String?

  package init(
    id: CameraID, source: Source, substream: String? = nil, username: String? = nil,
    password: DevicePassword = .none, view: View = .ring, capture: Capture = Capture(),
    microphone: String? = nil
  ) {
    self.id = id
    self.source = source
    self.substream = substream
    self.username = username
    self.password = password
    self.view = view
    self.capture = capture
    self.microphone = microphone
  }
}

package struct Door: Hashable, Sendable {
  package var id: DoorID
  package var name: String
  package var actuator: Actuator
  /// How long the line is held, 100 to 10,000 ms.
  package var pulse: Interval
  /// The keys that open it in a call, 1 to 6 of `0-9 * # A-D`.
  package var openCode: String

  package init(
    id: DoorID, name: String = "", actuator: Actuator = .none, pulse: Interval = .milliseconds(3000),
    openCode: String = "#"
  ) {
    self.id = id
    self.name = name
    self.actuator = actuator
    self.pulse = pulse
    self.openCode = openCode
  }
}

/// What moves a door.
package enum Actuator: Hashable, Sendable {
  /// A line of the kernel's GPIO character device; `chip` is its name, label or path.
  case gpio(chip: String, line: Int, activeLow: Bool)
  /// Keys sent to the station.
  case dtmf(code: String, mode: KeyMode)
  case http(HTTPActuator)
  /// Records, moves nothing.
  case none

  package enum Kind: String, CaseIterable, Hashable, Sendable { case gpio, dtmf, http, none }
  package enum KeyMode: String, CaseIterable, Hashable, Sendable { case rfc4733, info }

  package var kind: Kind {
    switch self {
    case .gpio: .gpio
    case .dtmf: .dtmf
    case .http: .http
    case .none: .none
    }
  }
}

/// A relay behind a device's web interface. The forms that devices know are probed below `url`.
package struct HTTPActuator: Hashable, Sendable {
  package var url: String
  package var username: String?
  package var password: DevicePassword
  package var relay: Int
  /// SHA-256 of the device's certificate as 64 lower-case hexadecimal digits; nil: pinned at first contact.
  package var fingerprint: String?

  package init(
    url: String, username: String? = nil, password: DevicePassword = .none, relay: Int = 1,
    fingerprint: String? = nil
  ) {
    self.url = url
    self.username = username
    self.password = password
    self.relay = relay
    self.fingerprint = fingerprint
  }
}
