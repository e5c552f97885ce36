internal import JSON
internal import Wire

// What a directory file says of machines: stations, cameras and doors.

extension DirectoryReader {
  func stations(_ values: [ValueReader]) -> [Station] {
    var firstAt: [IPAddress: Int] = [:]
    return values.compactMap { value in
      let station = self.station(value)
      if let address = station?.address?.address {
        if let line = firstAt[address] {
          value.warn(
            "the station at line \(line) has this address too: they are told apart by the From user, which each "
              + "must send as its username")
        } else {
          firstAt[address] = value.node.position.line
        }
      }
      return station
    }
  }

  func station(_ value: ValueReader) -> Station? {
    value.object { reader in
      let username = self.name(&reader, "username", what: "station")
      var address: Endpoint?
      if let member = reader.presentMember("address"), let text = member.string(limit: 80) {
        address = Endpoint(text, defaultPort: Station.usualPort)
        if address == nil || address?.port == 0 || address?.address.isUnspecified == true
          || address?.address.isMulticast == true || address?.address.isBroadcast == true
        {
          member.wrong(
            expected: "the IP address of one device, such as \"192.0.2.10\" or \"192.0.2.10:5060\"")
          address = nil
        }
      }
      return Station(
        username: StationName(username), name: reader.string("name", default: "", limit: 200),
        camera: reader.presentMember("camera").flatMap {
          self.reference($0, to: "camera", among: self.cameraIDs)
        }.map { CameraID($0) },
        door: reader.presentMember("door").flatMap {
          self.reference($0, to: "door", among: self.doorIDs)
        }.map { DoorID($0) },
        address: address, maxTalk: .seconds(Int64(reader.integer("maxTalk", default: 180, in: 5...7200))),
        hangupAfterOpen: reader.bool("hangupAfterOpen", default: false),
        digest: reader.choice("digest", default: .auto))
    }
  }

  func camera(_ value: ValueReader) -> Camera? {
    value.object { reader in
      let id = self.name(&reader, "id", what: "camera", space: "camera")
      let expected = "\"v4l2:PATH\", \"rtsp://…\", \"sip:STATION\" or \"test:pattern\""
      var source = Camera.Source.pattern
      if let member = reader.requiredMember("source", expected), let text = member.string() {
        let path = text.dropFirst(5)
        if text.hasPrefix("v4l2:"), path.utf8.first == UInt8(ascii: "/") {
          source = .v4l2(path: String(path))
        } else if text.hasPrefix("rtsp://") || text.hasPrefix("rtsps://") {
          source = .rtsp(url: self.url(member, text) ?? "")
        } else if text.hasPrefix("sip:"), text.utf8.count > 4 {
          let station = String(text.dropFirst(4))
          if !stationNames.contains(station) {
            member.wrong(
              expected: "the username of a station after sip:", found: "an unknown one",
              hint: didYouMean(nearest(to: station, among: stationNames)))
          }
          source = .call(StationName(station))
        } else if text != "test:pattern" {
          member.wrong(expected: expected)
        }
      }
      var substream: String?
      if let member = reader.presentMember("substream"), let text = member.string() {
        if case .rtsp = source, text.hasPrefix("rtsp://") || text.hasPrefix("rtsps://") {
          substream = self.url(member, text)
        } else {
          member.wrong(expected: "the rtsp:// address of a network camera's smaller stream")
        }
      }
      var capture = Capture()
      if let member = reader.presentMember("capture") {
        if source.passesPicturesAsTheyAre {
          // A mask that hid nothing would be the worst of settings.
          member.wrong(
            expected: "a capture device or the test picture",
            found:
              "a camera whose pictures pass as they are: set size, rate and masks in the camera itself"
          )
          _ = member.object { self.capture(&$0) }
        } else {
          capture = member.object { self.capture(&$0) } ?? capture
        }
      }
      return Camera(
        id: CameraID(id), source: source, substream: substream, username: reader.optionalString("username"),
        password: self.password(&reader), view: reader.choice("view", default: .ring), capture: capture,
        microphone: self.microphone(&reader, of: source))
    }
  }

  /// The name of a sound card. Names by which ALSA would write files or run programs (`tee:…`, `file:…`) are none.
  func microphone(_ reader: inout ObjectReader, of source: Camera.Source) -> String? {
    guard let member = reader.presentMember("microphone"), let text = member.string(limit: 128) else {
      return nil
    }
    if source.passesPicturesAsTheyAre {
      member.wrong(
        expected: "a capture device or the test picture", found: "a camera that brings its own sound with it")
      return nil
    }
    let halves = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    func has(_ half: Substring, besides marks: String) -> Bool {
      !half.isEmpty
        && half.utf8.allSatisfy { ASCII.isAlpha($0) || ASCII.isDigit($0) || marks.utf8.contains($0) }
    }
    let kinds = ["default", "sysdefault", "hw", "plughw", "dsnoop", "front"]
    guard has(halves[0], besides: "_-."),
      halves.count == 1 || kinds.contains(String(halves[0])) && has(halves[1], besides: "_-.,=")
    else {
      member.wrong(
        expected: "ALSA's name of a sound card, such as \"default\", \"hw:1,0\" or \"plughw:CARD=Webcam\"",
        hint: "`arecord -L` lists them")
      return nil
    }
    return text
  }

  func door(_ value: ValueReader) -> Door? {
    value.object { reader in
      let id = self.name(&reader, "id", what: "door", space: "door")
      let actuator = reader.object("actuator") { self.actuator(&$0) }
      if reader.presentMember("actuator") == nil {
        value.warn("this door has no actuator: openings are recorded and nothing moves")
      }
      return Door(
        id: DoorID(id), name: reader.string("name", default: "", limit: 200), actuator: actuator ?? .none,
        pulse: .milliseconds(Int64(reader.integer("pulse", default: 3000, in: 100...10_000))),
        openCode: self.keys(&reader, "openCode", longest: 6))
    }
  }

  func actuator(_ reader: inout ObjectReader) -> Actuator {
    switch reader.choice("kind", Actuator.Kind.self) {
    case .gpio:
      return .gpio(
        chip: reader.string("chip", limit: 200), line: reader.integer("line", in: 0...1023),
        activeLow: reader.bool("activeLow", default: false))
    case .dtmf:
      return .dtmf(
        code: self.keys(&reader, "code", longest: 16), mode: reader.choice("mode", default: .rfc4733))
    case .http:
      var url = ""
      if let member = reader.requiredMember("url", "the address of the device"), let text = member.string() {
        if text.hasPrefix("http://") || text.hasPrefix("https://") {
          url = self.url(member, text) ?? ""
        } else {
          member.wrong(expected: "an address that begins with http:// or https://")
        }
      }
      return .http(
        HTTPActuator(
          url: url, username: reader.optionalString("username"), password: self.password(&reader),
          relay: reader.integer("relay", default: 1, in: 1...16), fingerprint: self.fingerprint(&reader)))
    case .some(.none): return .none
    case nil:
      // Which other keys are right cannot be said.
      reader.ignore(
        "chip", "line", "activeLow", "code", "mode", "url", "username", "password", "relay", "fingerprint")
      return .none
    }
  }

  /// A URL with a host and without username or password: those are never kept inside one.
  func url(_ value: ValueReader, _ text: String) -> String? {
    guard let start = text.start(after: "://") else { return nil }
    let rest = text[start...]
    let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    if authority.contains("@") {
      value.wrong(
        expected: "an address without username and password",
        hint: "write them beside it as keys of their own")
      return nil
    }
    guard !authority.isEmpty, authority.first != ":",
      text.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "\"") })
    else {
      value.wrong(expected: "an address with a host")
      return nil
    }
    return text
  }

  func password(_ reader: inout ObjectReader) -> DevicePassword {
    guard let text = reader.presentMember("password")?.string(limit: 256, allowEmpty: false) else {
      return .none
    }
    return text == DevicePassword.unchanged ? .stored : .given(text)
  }

  func keys(_ reader: inout ObjectReader, _ key: String, longest: Int) -> String {
    guard let value = reader.presentMember(key), let text = value.string() else { return "#" }
    guard (1...longest).contains(text.utf8.count),
      text.utf8.allSatisfy({ "0123456789*#ABCD".utf8.contains($0) })
    else {
      value.wrong(expected: "1 to \(longest) keys of 0-9 * # A-D")
      return "#"
    }
    return text
  }

  func fingerprint(_ reader: inout ObjectReader) -> String? {
    guard let value = reader.presentMember("fingerprint"), let text = value.string() else { return nil }
    let digits = text.utf8.filter { $0 != UInt8(ascii: ":") }
    guard digits.count == 64, digits.allSatisfy({ ASCII.hexValue($0) != nil }) else {
      value.wrong(expected: "the SHA-256 of a certificate: 64 hexadecimal digits")
      return nil
    }
    return String(decoding: digits.map(ASCII.lowered), as: UTF8.self)
  }
}
