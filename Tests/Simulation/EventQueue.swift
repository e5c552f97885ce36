import Wire

/// What is to happen, in order of time and, at one time, in order of asking.
///
/// Deeds lie apart from the order they come in: what is sorted is plain numbers, and moving them counts no references.
struct EventQueue {
  struct Entry {
    var time: Instant
    var order: UInt64
    /// The world whose turn it is; -1 for the network itself.
    var world: Int32
    fileprivate var place: Int32
  }

  private var heap: [Entry] = []
  private var deeds: [(() -> Void)?] = []
  private var free: [Int32] = []
  private var asked: UInt64 = 0

  var next: Entry? { heap.first }
  var count: Int { heap.count }

  mutating func add(_ time: Instant, world: Int, _ action: @escaping () -> Void) {
    asked += 1
    let place: Int32
    if let known = free.popLast() {
      place = known
      deeds[Int(place)] = action
    } else {
      place = Int32(deeds.count)
      deeds.append(action)
    }
    let entry = Entry(time: time, order: asked, world: Int32(world), place: place)
    heap.append(entry)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard EventQueue.precedes(entry, heap[parent]) else { break }
      heap[child] = heap[parent]
      child = parent
    }
    heap[child] = entry
  }

  /// The first entry with what it does.
  mutating func take() -> (entry: Entry, action: () -> Void)? {
    guard let first = heap.first, let action = deeds[Int(first.place)] else { return nil }
    deeds[Int(first.place)] = nil
    free.append(first.place)
    let last = heap.removeLast()
    guard !heap.isEmpty else { return (first, action) }
    var parent = 0
    while true {
      var least = 2 * parent + 1
      guard least < heap.count else { break }
      if least + 1 < heap.count, EventQueue.precedes(heap[least + 1], heap[least]) { least += 1 }
      guard EventQueue.precedes(heap[least], last) else { break }
      heap[parent] = heap[least]
      parent = least
    }
    heap[parent] = last
    return (first, action)
  }

  private static func precedes(_ left: Entry, _ right: Entry) -> Bool {
    left.time == right.time ? left.order < right.order : left.time < right.time
  }
}
