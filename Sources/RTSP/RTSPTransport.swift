internal import Wire

/// How media come to us.
package enum RTSPTransport: String, Hashable, Sendable, CaseIterable {
  /// On the connection itself, between the messages (RFC 2326 section 10.12).
  case interleaved
  /// In datagrams.
  case datagrams

  package var other: RTSPTransport { self == .interleaved ? .datagrams : .interleaved }
}

/// What a server's `Transport` field settles (RFC 2326 section 12.39), with what real ones leave out.
struct TransportReply: Equatable {
  var kind: RTSPTransport
  var isMulticast = false
  /// First channel, and the one for reports.
  var channels: (media: UInt8, control: UInt8)?
  /// Where the server sends from; nil where it does not say, or says 0.
  var serverPorts: (media: UInt16, control: UInt16)?
  /// Where it says that its datagrams come from, where that is an address.
  var source: IPAddress?
  var ssrc: UInt32?

  static func == (left: TransportReply, right: TransportReply) -> Bool {
    left.kind == right.kind && left.isMulticast == right.isMulticast
      && left.channels?.media == right.channels?.media && left.channels?.control == right.channels?.control
      && left.serverPorts?.media == right.serverPorts?.media
      && left.serverPorts?.control == right.serverPorts?.control && left.source == right.source
      && left.ssrc == right.ssrc
  }

  /// Reads the first transport of a field; nil when it is no RTP.
  init?(_ field: String) {
    let first = field.split(separator: ",", maxSplits: 1).first ?? ""
    var parts = first.split(separator: ";").map { String($0.trimmedBlanks) }
    guard !parts.isEmpty else { return nil }
    let proto = parts.removeFirst()
    let words = proto.split(separator: "/").map {
      String(decoding: $0.utf8.map(ASCII.lowered), as: UTF8.self)
    }
    guard words.first == "rtp" else { return nil }
    kind = words.contains("tcp") ? .interleaved : .datagrams
    for part in parts {
      let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(decoding: halves[0].utf8.map(ASCII.lowered), as: UTF8.self)
      let value = halves.count == 2 ? String(Substring(halves[1]).trimmedBlanks) : ""
      switch name {
      case "multicast": isMulticast = true
      case "interleaved":
        // Some forget `/TCP` and mean it.
        kind = .interleaved
        let numbers = value.split(separator: "-").compactMap { UInt8($0) }
        if let media = numbers.first {
          channels = (media, numbers.count > 1 ? numbers[1] : media &+ 1)
        }
      case "server_port":
        let numbers = value.split(separator: "-").compactMap { UInt16($0) }
        if let media = numbers.first, media != 0 {
          serverPorts = (media, numbers.count > 1 && numbers[1] != 0 ? numbers[1] : media &+ 1)
        }
      case "source": source = IPAddress(value)
      case "ssrc": ssrc = UInt32(value, radix: 16)
      default: break
      }
    }
  }
}

extension Substring {
  var trimmedBlanks: Substring {
    var part = self
    while part.utf8.first.map(ASCII.isLinearBlank) == true { part = part.dropFirst() }
    while part.utf8.last.map(ASCII.isLinearBlank) == true { part = part.dropLast() }
    return part
  }
}
