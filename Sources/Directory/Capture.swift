internal import JSON
internal import Wire

/// How the gateway's own cameras, capture devices and the test picture, are to be taken up.
package struct Capture: Hashable, Sendable {
  /// A rectangle that nobody may see, in thousandths of the picture's sides from its upper left corner: it stays where
  /// it is when a device gives another size than was asked for.
  package struct Mask: Hashable, Sendable {
    package var x: Int
    package var y: Int
    package var width: Int
    package var height: Int

    package init(x: Int, y: Int, width: Int, height: Int) {
      self.x = x
      self.y = y
      self.width = width
      self.height = height
    }
  }

  /// A setting of the device, by the name that its driver gives it, such as `Brightness`.
  package struct Control: Hashable, Sendable {
    package var name: String
    package var value: Int

    package init(name: String, value: Int) {
      self.name = name
      self.value = value
    }
  }

  package static let widths = 160...4096
  package static let heights = 96...2304
  package static let rates = 1...60
  /// Of the stream, in kbit/s.
  package static let bitRates = 64...20_000
  static let mostControls = 64
  static let mostMasks = 32

  package var width = 1280
  package var height = 720
  package var framesPerSecond = 25
  /// In kbit/s; nil for what suits size and rate.
  package var bitRate: Int?
  package var controls: [Control] = []
  package var masks: [Mask] = []

  package init() {}
}

extension DirectoryReader {
  func capture(_ reader: inout ObjectReader) -> Capture {
    var capture = Capture()
    capture.width = reader.integer("width", default: capture.width, in: Capture.widths)
    capture.height = reader.integer("height", default: capture.height, in: Capture.heights)
    capture.framesPerSecond = reader.integer("rate", default: capture.framesPerSecond, in: Capture.rates)
    capture.bitRate = reader.optionalInteger("bitRate", in: Capture.bitRates)
    capture.controls = reader.list("controls", limit: Capture.mostControls).compactMap { value in
      value.object { control in
        Capture.Control(
          name: control.string("name", limit: 64),
          value: control.integer("value", in: -0x8000_0000...0x7FFF_FFFF))
      }
    }
    capture.masks = reader.list("masks", limit: Capture.mostMasks).compactMap { value in
      value.object { mask in
        Capture.Mask(
          x: mask.integer("x", in: 0...999), y: mask.integer("y", in: 0...999),
          width: mask.integer("width", in: 1...1000), height: mask.integer("height", in: 1...1000))
      }
    }
    return capture
  }
}

extension Capture {
  var fields: [JSONField] {
    let usual = Capture()
    var fields: [JSONField] = []
    func add(_ key: String, _ value: JSONValue, when isTold: Bool) {
      if isTold { fields.append(JSONField(key, value)) }
    }
    add("width", .integer(width), when: width != usual.width)
    add("height", .integer(height), when: height != usual.height)
    add("rate", .integer(framesPerSecond), when: framesPerSecond != usual.framesPerSecond)
    add("bitRate", .integer(orNull: bitRate), when: bitRate != nil)
    add(
      "controls",
      .array(
        controls.map {
          .object([JSONField("name", .string($0.name)), JSONField("value", .integer($0.value))])
        }), when: !controls.isEmpty)
    add(
      "masks",
      .array(
        masks.map {
          .object([
            JSONField("x", .integer($0.x)), JSONField("y", .integer($0.y)),
            JSONField("width", .integer($0.width)), JSONField("height", .integer($0.height)),
          ])
        }), when: !masks.isEmpty)
    return fields
  }
}
