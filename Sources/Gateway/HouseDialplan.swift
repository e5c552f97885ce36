internal import API
internal import Calls
internal import Directory
internal import SIP
internal import Wire

/// Gives `Calls` the building: the directory's decision at this hour, and where each device is now.
final class HouseDialplan: Dialplan {
  private let book: AccountBook
  private let world: any World
  private let bindings: (String) -> [Binding]
  private let house: () -> House?

  /// `bindings` gives an account's contacts, the newest first.
  init(
    book: AccountBook, world: any World, bindings: @escaping (String) -> [Binding],
    house: @escaping () -> House?
  ) {
    self.book = book
    self.world = world
    self.bindings = bindings
    self.house = house
  }

  var wall: WallTime { world.wall }

  func isWatched(_ station: StationName) -> Bool {
    book.building.cameras.contains { $0.source == .call(station) }
  }

  /// What the clock on the building's wall shows; UTC where its zone is not known.
  var localTime: LocalTime {
    world.localTime(at: world.wall, in: book.building.site.timezone)
      ?? world.localTime(at: world.wall, in: "UTC")
      ?? LocalTime(date: CivilDate(daysSinceEpoch: Int(world.wall.seconds / 86_400)), minute: 0)
  }

  func decide(_ caller: Caller, dialled: String, busyUnits: Set<UnitID>) -> CallDecision {
    book.building.plan(
      caller, dials: dialled, at: localTime,
      CallConditions(
        quietAccounts: book.quietAccounts, quietUnits: book.quietUnits, busyUnits: busyUnits))
  }

  func contacts(of target: CallTarget) -> [Contact] {
    let all = bindings(target.username)
    // A device that answers no pings is passed over while a sister answers; alone it is tried all the same.
    let alive = all.filter { $0.reach != .unreachable }
    let contacts =
      (alive.isEmpty ? all : alive).compactMap(contact) + (house()?.presence.pages(of: target.username) ?? [])
    guard contacts.isEmpty, case .station(let name) = target.callee,
      let endpoint = book.building.station(name)?.address
    else { return contacts }
    return [
      Contact(
        id: "\(endpoint)", destination: Destination(uri: URI(user: target.username, at: endpoint)),
        address: endpoint.address)
    ]
  }

  func contact(_ binding: Binding) -> Contact? {
    guard let uri = binding.uri else { return nil }
    return Contact(
      id: String(binding.id),
      destination: Destination(uri: uri, flow: binding.flow, route: binding.path),
      address: binding.flow.remote.address, credential: binding.credential,
      form: binding.flow.transport.isWeb ? .webRTC : .plain)
  }

  func station(_ name: StationName) -> Station? { book.building.station(name) }

  func unit(of caller: Caller) -> UnitID? {
    if case .account(let name) = caller { book.building.unit(of: name) } else { nil }
  }

  func displayName(of caller: Caller) -> String { book.building.displayName(of: caller) }

  func view(
    of caller: Caller, for called: Caller, in call: CallName, _ turn: inout Turn
  ) -> [(String, String)] {
    guard case .account(let account) = called,
      let view = house()?.view(of: caller, for: account, in: call, &turn.random)
    else { return [] }
    return [("X-Vestibule-Whep", "<\(view.whep)>;token=\"\(view.token)\"")]
  }
}
