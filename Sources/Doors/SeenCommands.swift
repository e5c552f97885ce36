/// The newest commands that were carried out, by name: bounded, and forgotten oldest first.
struct SeenCommands {
  private static let limit = 4096
  private var results: [CommandID: DoorResult?] = [:]
  private var order: [CommandID] = []
  private var oldest = 0

  func contains(_ id: CommandID) -> Bool { results[id] != nil }
  func result(of id: CommandID) -> DoorResult? { results[id] ?? nil }

  mutating func insert(_ id: CommandID) {
    guard results.updateValue(.none, forKey: id) == nil else { return }
    if order.count < SeenCommands.limit {
      order.append(id)
    } else {
      results[order[oldest]] = nil
      order[oldest] = id
      oldest = (oldest + 1) % SeenCommands.limit
    }
  }

  mutating func conclude(_ id: CommandID, _ result: DoorResult) {
    if results[id] != nil { results.updateValue(result, forKey: id) }
  }
}
