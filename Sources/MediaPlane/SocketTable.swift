// From a socket to its stream: the first question about every packet.

/// An open-addressed table from socket numbers to small indices. Looking up allocates nothing.
struct SocketTable {
  private static let free = UInt64.max

  private var keys: [UInt64]
  private var values: [Int32]
  private(set) var count = 0
  private var mask: Int { keys.count - 1 }

  /// A table that need not grow before `capacity` entries.
  init(capacity: Int) {
    var size = 16
    while size < capacity * 2 { size *= 2 }
    keys = Array(repeating: SocketTable.free, count: size)
    values = Array(repeating: 0, count: size)
  }

  subscript(key: UInt64) -> Int32? {
    var place = SocketTable.home(key) & mask
    while keys[place] != SocketTable.free {
      if keys[place] == key { return values[place] }
      place = (place + 1) & mask
    }
    return nil
  }

  mutating func insert(_ key: UInt64, _ value: Int32) {
    precondition(key != SocketTable.free, "no socket has this number")
    if (count + 1) * 2 > keys.count { grow() }
    var place = SocketTable.home(key) & mask
    while keys[place] != SocketTable.free, keys[place] != key { place = (place + 1) & mask }
    if keys[place] != key { count += 1 }
    keys[place] = key
    values[place] = value
  }

  mutating func remove(_ key: UInt64) {
    var place = SocketTable.home(key) & mask
    while keys[place] != key {
      guard keys[place] != SocketTable.free else { return }
      place = (place + 1) & mask
    }
    count -= 1
    // Entries behind the hole move up, so that no search ends early.
    var hole = place
    while true {
      place = (place + 1) & mask
      guard keys[place] != SocketTable.free else { break }
      let home = SocketTable.home(keys[place]) & mask
      if (place - home) & mask >= (place - hole) & mask {
        keys[hole] = keys[place]
        values[hole] = values[place]
        hole = place
      }
    }
    keys[hole] = SocketTable.free
  }

  private mutating func grow() {
    let old = (keys, values)
    keys = Array(repeating: SocketTable.free, count: keys.count * 2)
    values = Array(repeating: 0, count: keys.count)
    count = 0
    for index in old.0.indices where old.0[index] != SocketTable.free { insert(old.0[index], old.1[index]) }
  }

  private static func home(_ key: UInt64) -> Int {
    Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 33)
  }
}
