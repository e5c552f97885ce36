internal import Wire

// What waits: bytes that the network has not taken, and the deadlines of each connection.

extension Streams {
  func isFull(_ connection: Connection, adding count: Int) -> Bool {
    if !connection.pending.isEmpty { return true }
    guard connection.stall != nil else { return false }
    return world.unsent(on: connection.id) + count > limits.unsent
  }

  /// Sends what a session made. What the world does not take now waits, for a record once made cannot be unmade.
  func carry(_ bytes: [UInt8], _ connection: Connection) {
    guard !bytes.isEmpty else { return }
    if connection.pending.isEmpty, world.write(bytes.span, on: connection.id) {
      connection.unwatched += bytes.count
      if connection.unwatched >= Streams.watchEvery { watchQueue(connection) }
    } else {
      connection.pending += bytes
      watchQueue(connection)
    }
  }

  /// Looks whether a queue stands; from then on it must empty before `stall` has passed.
  func watchQueue(_ connection: Connection) {
    connection.unwatched = 0
    guard connection.stall == nil,
      world.unsent(on: connection.id) > 0 || !connection.pending.isEmpty || connection.owesDrained
    else { return }
    connection.stall = world.now + limits.stall
    schedule(connection)
  }

  // MARK: Deadlines

  func arm(_ connection: Connection, _ meaning: StreamEnding, after interval: Interval) {
    connection.meaning = meaning
    connection.deadline = world.now + interval
    schedule(connection)
  }

  func armIdle(_ connection: Connection) {
    guard let idle = connection.idle else {
      connection.deadline = nil
      return
    }
    arm(connection, .idle, after: idle)
  }

  /// One timer per connection. It is only moved forward when it fires, so that a busy connection costs nothing.
  func schedule(_ connection: Connection) {
    let wanted = Instant.earlier(connection.deadline, .earlier(connection.stall, connection.overdue))
    guard let wanted else { return }
    if connection.timer != nil {
      guard wanted < connection.armedFor else { return }
      timers.cancel(connection.timer!)
    }
    connection.armedFor = wanted
    connection.timer = timers.arm(wanted, token: connection.id.handle.raw)
  }
}
