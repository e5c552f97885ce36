import Calls
import MediaPlane
import SIP
import Simulation
import Testing
import Wire

@testable import Gateway
@testable import SimulatedBuilding

/// A lease that comes when the gateway already runs, and one that changes.
@Suite struct AddressTests {
  private static let first = IPAddress(v4: 0x0A00_0050)
  private static let second = IPAddress(v4: 0x0A00_0151)

  /// Everybody who names an address of ours names these, and loopback where it stands for itself.
  private func expect(_ addresses: [IPAddress], in gateway: Gateway) throws {
    let house = try #require(gateway.house)
    #expect(house.plane.peerEndpoints.map(\.address) == addresses + [.loopbackV4])
    let locals = house.agent.configuration.locals.filter { $0.transport == .udp }
    #expect(locals.map(\.endpoint.address) == addresses + [.loopbackV4])
    #expect(locals.allSatisfy { gateway.sip.owns($0.socket) })
    let leg = try #require(house.media.open(video: false, facing: IPAddress(v4: 0x0A00_0060)))
    #expect(leg.address == addresses.first ?? .loopbackV4)
    _ = house.media.close(leg.id)
    let elsewhere = Flow(
      .tcp, local: Endpoint(.anyV4, port: 5060), remote: Endpoint(.loopbackV4, port: 4000), socket: .none)
    for address in [AddressTests.first, AddressTests.second] {
      let uri = try #require(URI("sip:401@\(address)"))
      #expect(house.gate.serves(uri, on: elsewhere) == addresses.contains(address))
    }
    #expect(gateway.baseURL.contains("\(addresses.first ?? .loopbackV4)"))
  }

  /// Somebody says something: what it is does not matter.
  private func knock(_ gateway: Gateway) throws {
    let local = try #require(gateway.sip.locals.first { $0.transport == .udp })
    gateway.received(
      Array("knock knock".utf8).span, on: local.socket, from: Endpoint(.loopbackV4, port: 4000),
      to: local.endpoint)
  }

  @Test func anAddressThatComesLateOrChangesIsNamedFromThenOn() throws {
    let network = SimulatedNetwork(seed: 1)
    let place = Gatehouse(network, seed: 1, Ledger())
    place.host.addresses = []
    place.start()
    network.run(for: .seconds(5))
    let gateway = try #require(place.gateway)
    try expect([], in: gateway)
    // The lease comes, and the next who asks for anything is told.
    place.host.addresses = [AddressTests.first]
    try knock(gateway)
    try expect([AddressTests.first], in: gateway)
    // Nobody reads them for every packet.
    place.host.addresses = [AddressTests.second]
    try knock(gateway)
    #expect(gateway.addresses == [AddressTests.first, .loopbackV4])
    network.run(for: .seconds(2))
    try knock(gateway)
    try expect([AddressTests.second], in: gateway)
    // Told to look again, it looks at once.
    place.host.addresses = [AddressTests.first, AddressTests.second]
    place.reload()
    network.run(for: .milliseconds(1))
    try expect([AddressTests.first, AddressTests.second], in: gateway)
  }
}
