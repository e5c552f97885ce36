import Wire

/// What is to happen, in order of time and, at one time, in order of asking.
struct EventQueue {
  struct Event {
    var time: Instant
    var order: UInt64
    /// The world whose turn it is; -1 for the network itself.
    var world: Int
    var action: () -> Void
  }

  private var heap: [Event] = []
  private var asked: UInt64 = 0

  var next: Event? { heap.first }
  var count: Int { heap.count }

  mutating func add(_ time: Instant, world: Int, _ action: @escaping () -> Void) {
    asked += 1
    heap.append(Event(time: time, order: asked, world: world, action: action))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard EventQueue.precedes(heap[child], heap[parent]) else { break }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func take() -> Event? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    guard !heap.isEmpty else { return first }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
        if EventQueue.precedes(heap[child], heap[least]) { least = child }
      }
      if least == parent { return first }
      heap.swapAt(parent, least)
      parent = least
    }
  }

  private static func precedes(_ left: Event, _ right: Event) -> Bool {
    left.time == right.time ? left.order < right.order : left.time < right.time
  }
}
