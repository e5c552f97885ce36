internal import Wire

/// What a frame is (RFC 6455 section 5.2). The other ten numbers are reserved.
enum WebSocketOpcode: UInt8, Sendable {
  case continuation = 0
  case text = 1
  case binary = 2
  case close = 8
  case ping = 9
  case pong = 10

  var isControl: Bool { rawValue >= 8 }
}

/// The key a client hides its payload under, and how far it has got.
struct WebSocketMask: Sendable {
  private var key: (UInt8, UInt8, UInt8, UInt8)

  /// The four bytes in the order of the wire, the first in the highest place.
  init(_ word: UInt32) {
    key = (
      UInt8(word >> 24), UInt8(word >> 16 & 255), UInt8(word >> 8 & 255), UInt8(word & 255)
    )
  }

  var bytes: [UInt8] { [key.0, key.1, key.2, key.3] }

  /// Appends `bytes`, each masked (or unmasked, which is the same), and turns the key on by as many places.
  mutating func append(_ bytes: Span<UInt8>, to out: inout [UInt8]) {
    let start = out.count
    let count = bytes.count
    out.append(contentsOf: repeatElement(0, count: count))
    var room = out.mutableSpan
    let (a, b, c, d) = key
    var position = 0
    while position &+ 4 <= count {
      room[start &+ position] = bytes[position] ^ a
      room[start &+ position &+ 1] = bytes[position &+ 1] ^ b
      room[start &+ position &+ 2] = bytes[position &+ 2] ^ c
      room[start &+ position &+ 3] = bytes[position &+ 3] ^ d
      position &+= 4
    }
    while position < count {
      room[start &+ position] = bytes[position] ^ key.0
      key = (key.1, key.2, key.3, key.0)
      position &+= 1
    }
  }
}

/// Writes frames.
enum WebSocketFrame {
  /// The longest head: two bytes, eight of length, four of mask.
  static let longestHead = 14

  /// Appends one frame, masked when `mask` is set.
  static func append(
    _ opcode: WebSocketOpcode, isFinal: Bool = true, _ payload: Span<UInt8>, mask: WebSocketMask?,
    to out: inout [UInt8]
  ) {
    out.append(opcode.rawValue | (isFinal ? 0x80 : 0))
    let flag: UInt8 = mask == nil ? 0 : 0x80
    let count = payload.count
    switch count {
    case ...125: out.append(flag | UInt8(count))
    case ...0xFFFF:
      out.append(flag | 126)
      out.append(UInt8(count >> 8))
      out.append(UInt8(count & 255))
    default:
      out.append(flag | 127)
      for shift in stride(from: 56, through: 0, by: -8) {
        out.append(UInt8(truncatingIfNeeded: count >> shift))
      }
    }
    if var mask {
      out.append(contentsOf: mask.bytes)
      mask.append(payload, to: &out)
    } else {
      out.append(0..<count, of: payload)
    }
  }
}
