internal import Crypto
package import ICE
package import Wire

/// A small STUN and TURN server (RFC 8489, RFC 8656) with one account.
package final class RelayServer: Station {
  package struct Lease {
    var client: Endpoint
    package var port: UInt16
    var expires: Instant
    /// What asked for it: the same request again gets the same answer (RFC 8656 section 7.2).
    var transaction: STUNTransactionID
    var permissions: [(IPAddress, Instant)] = []
    var channels: [(UInt16, Endpoint, Instant)] = []

    package init(client: Endpoint, port: UInt16, expires: Instant, transaction: STUNTransactionID) {
      self.client = client
      self.port = port
      self.expires = expires
      self.transaction = transaction
    }
  }

  package let address: IPAddress
  let port: UInt16 = 3478
  package var username = "vestibule"
  package var password = "open sesame"
  private let realm = "example.net"
  package var nonce = "nonce-1"
  package var lifetime: Int64 = 600
  /// Asked and refused: 486.
  package var isFull = false
  package var isSilent = false
  package var leases: [Lease] = []
  package var requests = 0
  package var relayed = 0
  package var channelMessages = 0
  private var nextPort: UInt16 = 50_000

  package init(_ network: VirtualNetwork, _ address: IPAddress) {
    self.address = address
    network.stations.append(self)
  }

  package var translator: Translator? { nil }
  package var deadline: Instant? { nil }
  package func advance() {}
  package func owns(_ address: IPAddress) -> Bool { address == self.address }
  package var endpoint: Endpoint { Endpoint(address, port: port) }
  package var turn: ICEServer { ICEServer(turn: endpoint, username: username, password: password) }
  package var stun: ICEServer { ICEServer(stun: endpoint) }

  package func receive(_ datagram: [UInt8], from: Endpoint, to: Endpoint, _ network: VirtualNetwork) {
    guard !isSilent else { return }
    for place in leases.indices {
      leases[place].permissions.removeAll { $0.1 < network.now }
      leases[place].channels.removeAll { $0.2 < network.now }
    }
    leases.removeAll { $0.expires < network.now }
    if to.port != port {
      guard let lease = leases.first(where: { $0.port == to.port }) else { return }
      carry(datagram, to: lease, from: from, network)
      return
    }
    if DatagramKind(datagram.span) == .turnChannel {
      guard let lease = leases.first(where: { $0.client == from }), datagram.count >= 4 else { return }
      let number = UInt16(datagram[0]) << 8 | UInt16(datagram[1])
      let size = Int(datagram[2]) << 8 | Int(datagram[3])
      guard let channel = lease.channels.first(where: { $0.0 == number }), datagram.count >= 4 + size else {
        return
      }
      channelMessages += 1
      relay(Array(datagram[4..<4 + size]), lease, to: channel.1, network)
      return
    }
    guard let message = try? STUNMessage(parsing: datagram.span) else { return }
    if message.kind == .indication {
      guard let lease = leases.first(where: { $0.client == from }),
        let peer = message.address(message.xorPeerAddress, in: datagram.span),
        lease.permissions.contains(where: { $0.0 == peer.address })
      else { return }
      relay(message.bytes(message.dataField, in: datagram.span), lease, to: peer, network)
      return
    }
    guard message.kind == .request else { return }
    requests += 1
    var writer = STUNWriter()
    if message.method == STUNMethod.binding {
      writer.begin(.success, message.method, message.transaction)
      writer.add(STUNAttribute.xorMappedAddress, xor: from)
      writer.finish()
      network.send(writer.bytes, from: endpoint, to: from, through: nil)
      return
    }
    let key = Digest.md5(Array("\(username):\(realm):\(password)".utf8))
    func refuse(_ code: Int, _ phrase: String, challenging: Bool = false) {
      writer.begin(.failure, message.method, message.transaction)
      writer.addError(code, phrase)
      if challenging {
        writer.add(STUNAttribute.realm, text: realm)
        writer.add(STUNAttribute.nonce, text: nonce)
      } else {
        writer.addIntegrity(key: key)
      }
      writer.finish()
      network.send(writer.bytes, from: endpoint, to: from, through: nil)
    }
    guard message.integrity.isPresent else { return refuse(401, "Unauthorized", challenging: true) }
    guard message.bytes(message.nonce, in: datagram.span) == Array(nonce.utf8) else {
      return refuse(438, "Stale Nonce", challenging: true)
    }
    guard message.bytes(message.username, in: datagram.span) == Array(username.utf8),
      message.hasIntegrity(key: key, in: datagram.span)
    else { return refuse(401, "Unauthorized", challenging: true) }
    let place = leases.firstIndex { $0.client == from }
    let peer = message.address(message.xorPeerAddress, in: datagram.span)
    writer.begin(.success, message.method, message.transaction)
    switch message.method {
    case STUNMethod.allocate:
      guard !isFull else { return refuse(486, "Allocation Quota Reached") }
      if let place, leases[place].transaction != message.transaction {
        return refuse(437, "Allocation Mismatch")
      }
      if place == nil {
        nextPort += 1
        leases.append(
          Lease(
            client: from, port: nextPort, expires: network.now + .seconds(lifetime),
            transaction: message.transaction))
      }
      writer.add(
        STUNAttribute.xorRelayedAddress,
        xor: Endpoint(address, port: place.map { leases[$0].port } ?? nextPort))
      writer.add(STUNAttribute.xorMappedAddress, xor: from)
      writer.add(STUNAttribute.lifetime, word: UInt32(lifetime))
    case STUNMethod.refresh:
      guard let place else { return refuse(437, "Allocation Mismatch") }
      if message.lifetime(in: datagram.span) == 0 {
        leases.remove(at: place)
      } else {
        leases[place].expires = network.now + .seconds(lifetime)
      }
      writer.add(
        STUNAttribute.lifetime, word: UInt32(message.lifetime(in: datagram.span) == 0 ? 0 : lifetime))
    case STUNMethod.createPermission:
      guard let place, let peer else { return refuse(437, "Allocation Mismatch") }
      leases[place].permissions.removeAll { $0.0 == peer.address }
      leases[place].permissions.append((peer.address, network.now + .seconds(300)))
    case STUNMethod.channelBind:
      guard let place, let peer, message.channelField.count == 4 else { return refuse(400, "Bad Request") }
      let start = Int(message.channelField.start)
      let number = UInt16(datagram[start]) << 8 | UInt16(datagram[start + 1])
      // A number stays its peer's, and a peer its number's (RFC 8656 section 12.2).
      let isTaken = leases[place].channels.contains { ($0.0 == number) != ($0.1 == peer) }
      guard (0x4000...0x4FFF).contains(number), !isTaken else { return refuse(400, "Bad Request") }
      leases[place].channels.removeAll { $0.0 == number || $0.1 == peer }
      leases[place].channels.append((number, peer, network.now + .seconds(600)))
      leases[place].permissions.removeAll { $0.0 == peer.address }
      leases[place].permissions.append((peer.address, network.now + .seconds(300)))
    default: return refuse(400, "Bad Request")
    }
    writer.addIntegrity(key: key)
    writer.addFingerprint()
    network.send(writer.bytes, from: endpoint, to: from, through: nil)
  }

  /// From a client to a peer.
  private func relay(_ payload: [UInt8], _ lease: Lease, to peer: Endpoint, _ network: VirtualNetwork) {
    relayed += 1
    network.send(payload, from: Endpoint(address, port: lease.port), to: peer, through: nil)
  }

  /// From a peer to a client.
  private func carry(_ payload: [UInt8], to lease: Lease, from peer: Endpoint, _ network: VirtualNetwork) {
    guard lease.permissions.contains(where: { $0.0 == peer.address }) else { return }
    if let channel = lease.channels.first(where: { $0.1 == peer }) {
      let head = [
        UInt8(channel.0 >> 8), UInt8(channel.0 & 255), UInt8(payload.count >> 8), UInt8(payload.count & 255),
      ]
      network.send(head + payload, from: endpoint, to: lease.client, through: nil)
      return
    }
    var writer = STUNWriter()
    writer.begin(.indication, STUNMethod.data, STUNTransactionID(high: 5, low: network.random.next()))
    writer.add(STUNAttribute.xorPeerAddress, xor: peer)
    writer.add(STUNAttribute.data, payload)
    writer.finish()
    network.send(writer.bytes, from: endpoint, to: lease.client, through: nil)
  }
}
