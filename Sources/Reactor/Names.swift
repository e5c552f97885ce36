internal import CLinux
package import Wire

/// Name look-ups as they run on the `names` lane: the host's own resolver for addresses, its DNS part for SRV.
package enum Names {
  /// The most answers that one look-up gives back.
  static let limit = 32

  static func look(up query: NameQuery) -> [ResolvedName] {
    switch query {
    case .addresses(let host):
      if let address = IPAddress(host) { return [.address(address)] }
      guard !host.utf8.contains(0) else { return [] }
      var found = [clinux_endpoint](repeating: clinux_endpoint(), count: limit)
      let count = unsafe clinux_addresses(host, &found, Int32(limit))
      return found.prefix(max(0, Int(count))).map { .address(Endpoint($0).address) }
    case .service(let name):
      guard !name.utf8.contains(0) else { return [] }
      var answer = [UInt8](repeating: 0, count: 4096)
      let length = unsafe clinux_service_answer(name, &answer, Int32(answer.count))
      guard length > 0 else { return [] }
      return services(in: Array(answer.prefix(Int(length))))
    }
  }

  /// The SRV records of a DNS answer (RFC 1035, RFC 2782), least priority first; empty if it is malformed. The
  /// target `.` ("not offered here") gives no record.
  package static func services(in message: [UInt8]) -> [ResolvedName] {
    func short(_ at: Int) -> Int? {
      at + 2 <= message.count ? Int(message[at]) << 8 | Int(message[at + 1]) : nil
    }
    /// The name at `start`, compression followed, and where the bytes after it begin.
    func name(at start: Int) -> (text: String, end: Int)? {
      var labels: [String] = []
      var position = start
      var end: Int?
      var jumps = 0
      while position < message.count {
        let length = Int(message[position])
        if length == 0 { return (labels.joined(separator: "."), end ?? position + 1) }
        if length & 0xC0 == 0xC0 {
          guard let target = short(position), jumps < 16 else { return nil }
          end = end ?? position + 2
          position = target & 0x3FFF
          jumps += 1
        } else {
          guard length < 64, labels.count < 128, position + 1 + length <= message.count else { return nil }
          labels.append(String(decoding: message[position + 1..<position + 1 + length], as: UTF8.self))
          position += 1 + length
        }
      }
      return nil
    }

    guard let questions = short(4), let answers = short(6) else { return [] }
    var position = 12
    for _ in 0..<questions {
      guard let question = name(at: position) else { return [] }
      position = question.end + 4
    }
    var found: [(priority: UInt16, name: ResolvedName)] = []
    for _ in 0..<answers where found.count < limit {
      guard let owner = name(at: position), let type = short(owner.end), let length = short(owner.end + 8)
      else { return [] }
      let data = owner.end + 10
      position = data + length
      guard position <= message.count else { return [] }
      guard type == 33, length >= 7, let priority = short(data), let weight = short(data + 2),
        let port = short(data + 4), let target = name(at: data + 6), !target.text.isEmpty
      else { continue }
      found.append(
        (
          UInt16(priority),
          .service(
            host: target.text, port: UInt16(port), priority: UInt16(priority), weight: UInt16(weight))
        ))
    }
    // `sorted` keeps the order of equals, so answers of one priority stay as the server turned them.
    return found.sorted { $0.priority < $1.priority }.map(\.name)
  }
}
