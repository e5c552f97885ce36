package import Wire

/// Something that must never be read in a log, an answer or an error. Printing it says so; the bytes are reached
/// by name only, where they are used.
package struct Secret: Sendable, Hashable {
  private let bytes: [UInt8]

  package init(_ bytes: [UInt8]) { self.bytes = bytes }
  package init(_ text: String) { bytes = Array(text.utf8) }

  package var isEmpty: Bool { bytes.isEmpty }

  /// The secret itself, for whoever must send or compare it.
  package func reveal() -> [UInt8] { bytes }
  package func revealText() -> String { String(decoding: bytes, as: UTF8.self) }

  /// Whether both are the same, in a time that depends on their lengths only.
  package static func == (left: Secret, right: Secret) -> Bool {
    guard left.bytes.count == right.bytes.count else { return false }
    var difference: UInt8 = 0
    for (a, b) in zip(left.bytes, right.bytes) { difference |= a ^ b }
    return difference == 0
  }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  package var description: String { "(secret)" }
  package var debugDescription: String { description }
  /// `dump` and interpolation of what contains a secret find nothing inside.
  package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Where a resident can be reached. Printing it keeps the network and hides the host: enough to tell two
/// networks apart, not two residents.
package struct Address: Sendable, Hashable {
  private let endpoint: Endpoint

  package init(_ endpoint: Endpoint) { self.endpoint = endpoint }
  package init(_ address: IPAddress) { endpoint = Endpoint(address, port: 0) }

  package func reveal() -> Endpoint { endpoint }
}

extension Address: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// `192.0.2.x`, or `2001:db8:1::x`: the first 24 or 48 bits.
  package var description: String {
    let address = endpoint.address
    if address.isV4 {
      let bits = address.v4
      return "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).x"
    }
    let network = IPAddress(high: address.high & ~0xFFFF, low: 0).description
    return (network.hasSuffix("::") ? network : network + "::") + "x"
  }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
