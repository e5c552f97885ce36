import Testing
import WebSocket
import Wire

let start = Instant(nanoseconds: 1_000_000_000)

/// A frame as a tester writes and reads it: nothing of the engine's own writer or reader is used here.
struct Frame: Equatable, CustomStringConvertible {
  var opcode: UInt8
  var isFinal = true
  var reserved: UInt8 = 0
  var payload: [UInt8] = []

  static func text(_ text: String, final: Bool = true, reserved: UInt8 = 0) -> Frame {
    Frame(opcode: 1, isFinal: final, reserved: reserved, payload: Array(text.utf8))
  }
  static func text(_ payload: [UInt8], final: Bool = true) -> Frame {
    Frame(opcode: 1, isFinal: final, payload: payload)
  }
  static func binary(_ payload: [UInt8], final: Bool = true, reserved: UInt8 = 0) -> Frame {
    Frame(opcode: 2, isFinal: final, reserved: reserved, payload: payload)
  }
  static func more(_ payload: [UInt8], final: Bool = true) -> Frame {
    Frame(opcode: 0, isFinal: final, payload: payload)
  }
  static func more(_ text: String, final: Bool = true) -> Frame { .more(Array(text.utf8), final: final) }
  static func ping(_ payload: [UInt8] = [], final: Bool = true) -> Frame {
    Frame(opcode: 9, isFinal: final, payload: payload)
  }
  static func ping(_ text: String, final: Bool = true) -> Frame { .ping(Array(text.utf8), final: final) }
  static func pong(_ text: String = "", final: Bool = true) -> Frame {
    Frame(opcode: 10, isFinal: final, payload: Array(text.utf8))
  }
  static func close(_ code: UInt16?, _ reason: [UInt8] = []) -> Frame {
    guard let code else { return Frame(opcode: 8, payload: reason) }
    return Frame(opcode: 8, payload: [UInt8(code >> 8), UInt8(code & 255)] + reason)
  }

  var description: String { "\(opcode)\(isFinal ? "" : "…")(\(payload.count) bytes)" }

  /// The code of a Close; nil when it has none.
  var code: UInt16? {
    opcode == 8 && payload.count >= 2 ? UInt16(payload[0]) << 8 | UInt16(payload[1]) : nil
  }

  static let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]

  func bytes(masked: Bool) -> [UInt8] {
    var out = [opcode | reserved << 4 | (isFinal ? 0x80 : 0)]
    let flag: UInt8 = masked ? 0x80 : 0
    if payload.count < 126 {
      out.append(flag | UInt8(payload.count))
    } else if payload.count < 65_536 {
      out += [flag | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
    } else {
      out += [flag | 127] + (0..<8).reversed().map { UInt8(truncatingIfNeeded: payload.count >> ($0 * 8)) }
    }
    if masked {
      out += Frame.key
      out += Frame.hide(payload, under: Frame.key)
    } else {
      out += payload
    }
    return out
  }

  static func hide(_ payload: [UInt8], under key: [UInt8]) -> [UInt8] {
    var hidden = payload
    for index in hidden.indices { hidden[index] ^= key[index & 3] }
    return hidden
  }

  /// Takes all whole frames from the beginning of `bytes`.
  static func read(_ bytes: inout [UInt8], masked: Bool) -> [Frame] {
    var frames: [Frame] = []
    var position = 0
    while position + 2 <= bytes.count {
      var place = position + 2
      var length = Int(bytes[position + 1] & 127)
      let wide = length == 126 ? 2 : length == 127 ? 8 : 0
      guard place + wide + (masked ? 4 : 0) <= bytes.count else { break }
      if wide > 0 {
        length = bytes[place..<place + wide].reduce(0) { $0 << 8 | Int($1) }
        place += wide
      }
      guard (bytes[position + 1] & 0x80 != 0) == masked else {
        Issue.record("the mask bit is wrong")
        break
      }
      var key: [UInt8] = []
      if masked {
        key = Array(bytes[place..<place + 4])
        place += 4
      }
      guard place + length <= bytes.count else { break }
      var payload = Array(bytes[place..<place + length])
      if masked { payload = hide(payload, under: key) }
      frames.append(
        Frame(
          opcode: bytes[position] & 15, isFinal: bytes[position] & 0x80 != 0,
          reserved: bytes[position] >> 4 & 7, payload: payload))
      position = place + length
    }
    bytes.removeFirst(position)
    return frames
  }
}

/// An endpoint that echoes every message, as the Autobahn suite wants its testees.
final class EchoEndpoint {
  var machine: WebSocketConnection
  let role: WebSocketRole
  var events: [WebSocketEvent] = []
  private var unread: [UInt8] = []
  var frames: [Frame] = []
  var echoes = true

  static var roomy: WebSocketLimits {
    var limits = WebSocketLimits()
    limits.frame = 16 << 20
    limits.message = 16 << 20
    limits.fragments = 1 << 20
    limits.output = 18 << 20
    return limits
  }

  init(_ role: WebSocketRole, limits: WebSocketLimits = EchoEndpoint.roomy) {
    self.role = role
    machine = WebSocketConnection(
      role, limits: limits, random: role == .client ? Random(seed: 7) : nil, now: start)
  }

  func receive(_ bytes: [UInt8], at now: Instant = start) {
    machine.receive(bytes.span, now: now)
    settle()
  }
  func receive(_ bytes: [UInt8], _ part: Range<Int>) {
    machine.receive(bytes.span.extracting(part), now: start)
    settle()
  }
  func receive(_ frame: Frame, at now: Instant = start) {
    receive(frame.bytes(masked: role == .server), at: now)
  }
  func advance(_ now: Instant) {
    machine.advance(now: now)
    settle()
  }
  func send(_ kind: WebSocketKind, _ payload: [UInt8], inFragmentsOf fragment: Int = .max) -> Bool {
    defer { settle() }
    return machine.send(kind, payload.span, inFragmentsOf: fragment)
  }
  func close(_ code: WebSocketCloseCode, _ reason: String = "", at now: Instant = start) {
    machine.close(code, reason: reason, now: now)
    settle()
  }
  func receivedEnd() {
    machine.receivedEnd()
    settle()
  }
  func settle() {
    while let event = machine.next() {
      events.append(event)
      if echoes, case .message(let kind, let payload) = event { machine.send(kind, payload.span) }
    }
    let output = machine.takeOutput()
    guard !output.isEmpty else { return }
    unread += output
    frames += Frame.read(&unread, masked: role == .client)
  }
  var nextDeadline: Instant? { machine.nextDeadline }
  var isOpen: Bool { machine.isOpen }
  var isFinished: Bool { machine.isFinished }
  var endings: [WebSocketEnding] {
    events.compactMap { if case .ended(let ending) = $0 { ending } else { nil } }
  }
}
