internal import Directory
internal import Journal
internal import SIP
internal import Store
internal import Wire

/// Writes what must last, on the store's lane, and never lets anybody wait for it who need not.
///
/// Durable changes leave at the end of the turn that made them, together; while one commit runs the next gathers.
/// Bindings are written behind: those of a moment are gathered, and of each only the last state is written.
final class Keeper {
  private let world: any World
  private let log: Log
  private var database: Database?
  private var durable: [StoreChange] = []
  private var waiting: [(StoreFailure?) -> Void] = []
  private var isCommitting = false
  private var bindings: [UInt64: BindingChange] = [:]
  private var bindingOrder: [UInt64] = []
  private var bindingsDue: Instant?
  /// The last thing the store would not do; nil while it works. Said once, until it works again.
  private(set) var failure: StoreFailure?
  private(set) var commits: UInt64 = 0

  private enum BindingChange {
    case bind(Binding)
    case unbind(username: String)
  }

  /// How long a binding may wait to be written.
  private static let behind = Interval.milliseconds(200)
  private static let longest = Interval.seconds(2)

  init(world: any World, log: Log) {
    self.world = world
    self.log = log
  }

  func open(_ database: Database) { self.database = database }

  // MARK: Writing

  /// Writes durably; `then` learns when it is on disk, or why not.
  func commit(_ changes: [StoreChange], then: ((StoreFailure?) -> Void)? = nil) {
    durable += changes
    if let then { waiting.append(then) }
  }

  /// A new binding is written at once, a renewed one with the others of the moment.
  func bind(_ binding: Binding, isNew: Bool) {
    behind(binding.id, .bind(binding))
    if isNew { bindingsDue = world.now }
  }

  func unbind(_ binding: Binding) {
    behind(binding.id, .unbind(username: binding.account))
  }

  private func behind(_ id: UInt64, _ change: BindingChange) {
    if bindings.updateValue(change, forKey: id) == nil { bindingOrder.append(id) }
    if bindingsDue == nil { bindingsDue = world.now + Keeper.behind }
  }

  var nextDeadline: Instant? { isCommitting ? nil : bindingsDue }

  /// Hands over what has gathered; called at the end of every turn.
  func settle() {
    guard !isCommitting, let database else { return }
    // A flush that durable changes pay for is not made longer by bindings, unless they have waited long.
    if let due = bindingsDue, due <= world.now, durable.isEmpty || due + Keeper.longest <= world.now {
      durable += bindingOrder.compactMap { id in bindings[id].map { change(id, $0) } }
      bindings.removeAll(keepingCapacity: true)
      bindingOrder.removeAll(keepingCapacity: true)
      bindingsDue = nil
    }
    guard !durable.isEmpty || !waiting.isEmpty else { return }
    let changes = durable
    let told = waiting
    durable = []
    waiting = []
    isCommitting = true
    world.perform(on: .store) { () -> StoreFailure? in
      do throws(StoreFailure) {
        try database.commit(changes)
        return nil
      } catch { return error }
    } then: { [weak self] failure in
      guard let self else { return }
      self.isCommitting = false
      self.commits += 1
      self.note(failure)
      for callback in told { callback(failure) }
    }
  }

  private func change(_ id: UInt64, _ change: BindingChange) -> StoreChange {
    switch change {
    case .bind(let binding):
      .bind(Keeper.row(binding.saved(now: world.now, wall: world.wall), at: world.wall))
    case .unbind(let username): .unbind(username: username, key: String(id))
    }
  }

  private func note(_ failure: StoreFailure?) {
    switch (self.failure, failure) {
    case (nil, let failure?):
      log.write(.error, "store.failed", "\(failure); calls and doors go on, what they leave is not kept")
    case (_?, nil): log.write(.notice, "store.works", "the store writes again")
    case (nil, nil), (_?, _?): break
    }
    self.failure = failure
  }

  // MARK: Asking

  func ask<Answer: Sendable>(
    _ question: @escaping @Sendable (Database) throws(StoreFailure) -> Answer,
    then: @escaping (Result<Answer, StoreFailure>) -> Void
  ) {
    guard let database else { return then(.failure(.cannotOpen("it is not open"))) }
    world.perform(on: .store) { () -> Result<Answer, StoreFailure> in
      do throws(StoreFailure) { return .success(try question(database)) } catch { return .failure(error) }
    } then: {
      then($0)
    }
  }

  // MARK: Rows

  static func row(_ saved: SavedBinding, at wall: WallTime) -> BindingRow {
    BindingRow(
      username: saved.account, key: String(saved.id),
      credential: saved.credential == 0 ? nil : saved.credential,
      contact: "<\(saved.contact)>\(saved.parameters)", transport: saved.transport, local: saved.local,
      remote: saved.remote, instance: saved.instance, regID: saved.regID.map(Int.init), path: saved.path,
      callID: saved.callID, cseq: saved.cseq, userAgent: saved.userAgent, registered: wall,
      expires: saved.expires)
  }

  static func binding(_ row: BindingRow) -> SavedBinding? {
    guard let id = UInt64(row.key), row.contact.first == "<",
      let end = row.contact.firstIndex(of: ">")
    else { return nil }
    let start = row.contact.index(after: row.contact.startIndex)
    return SavedBinding(
      id: id, account: row.username, credential: row.credential ?? 0,
      contact: String(row.contact[start..<end]),
      parameters: String(row.contact[row.contact.index(after: end)...]), transport: row.transport,
      local: row.local, remote: row.remote, path: row.path, instance: row.instance,
      regID: row.regID.flatMap { UInt32(exactly: $0) }, callID: row.callID, cseq: row.cseq,
      expires: row.expires, userAgent: row.userAgent)
  }
}
