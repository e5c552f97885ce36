/// Names an element of a `Slab`: where it lies and which tenancy of that place is meant. A handle kept after its
/// element was removed finds nothing; it never finds the next tenant.
// Public, and its members usable from inlined code, for the reason that stands at `ASCII`.
public struct Handle: Hashable, Sendable {
  @usableFromInline package let index: UInt32
  @usableFromInline package let generation: UInt32

  @inlinable package init(index: UInt32, generation: UInt32) {
    self.index = index
    self.generation = generation
  }

  /// A handle that no slab ever gives out.
  package static let none = Handle(index: .max, generation: 0)

  /// Index and generation in one word, for tables and tokens.
  @inlinable package var raw: UInt64 { UInt64(generation) << 32 | UInt64(index) }
  @inlinable package init(raw: UInt64) {
    index = UInt32(truncatingIfNeeded: raw)
    generation = UInt32(truncatingIfNeeded: raw >> 32)
  }
}

/// Elements in one allocation, reached by handle: insertion, removal and access cost a few nanoseconds, and a
/// stale handle is nil. Bounded by `limit`.
// Public, for the reason that stands at `ASCII`: an engine's table is looked into several times per message.
@safe  // Owns `places`; every access checks index and generation first.
public struct Slab<Element: ~Copyable>: ~Copyable {
  @usableFromInline struct Place: ~Copyable {
    /// Odd while the place is taken; grows by one at each change of tenancy.
    @usableFromInline var generation: UInt32
    @usableFromInline var nextFree: UInt32
    @usableFromInline var element: Element?

    @usableFromInline init(generation: UInt32, nextFree: UInt32) {
      self.generation = generation
      self.nextFree = nextFree
      self.element = nil
    }
  }

  @usableFromInline var places: UnsafeMutablePointer<Place>
  @usableFromInline var capacity: Int
  @usableFromInline var used: Int = 0
  @usableFromInline var firstFree: UInt32 = .max
  /// How many elements there are.
  @usableFromInline package internal(set) var count: Int = 0
  /// The most there may be.
  @usableFromInline package let limit: Int

  /// An empty slab for at most `limit` elements, with room for `reserved` made now.
  @inlinable package init(limit: Int, reserved: Int = 16) {
    precondition(limit > 0 && limit < Int(UInt32.max), "a slab's limit must fit an index")
    self.limit = limit
    capacity = min(max(1, reserved), limit)
    unsafe places = .allocate(capacity: capacity)
  }

  @inlinable deinit {
    unsafe places.deinitialize(count: used)
    unsafe places.deallocate()
  }

  /// Puts an element in; nil when the slab is at its limit (the element is then dropped).
  @inlinable package mutating func insert(_ element: consuming Element) -> Handle? {
    let index: UInt32
    if firstFree != .max {
      index = firstFree
      firstFree = unsafe places[Int(index)].nextFree
    } else {
      guard used < limit else { return nil }
      if used == capacity { grow() }
      index = UInt32(used)
      unsafe (places + used).initialize(to: Place(generation: 0, nextFree: .max))
      used += 1
    }
    unsafe places[Int(index)].generation &+= 1
    unsafe places[Int(index)].element = consume element
    count += 1
    return Handle(index: index, generation: unsafe places[Int(index)].generation)
  }

  /// Takes an element out; nil if the handle is stale.
  @inlinable package mutating func remove(_ handle: Handle) -> Element? {
    guard contains(handle) else { return nil }
    let index = Int(handle.index)
    unsafe places[index].generation &+= 1
    unsafe places[index].nextFree = firstFree
    firstFree = handle.index
    count -= 1
    return unsafe places[index].element.take()
  }

  @inlinable package func contains(_ handle: Handle) -> Bool {
    guard Int(handle.index) < used, handle.generation & 1 == 1 else { return false }
    return unsafe places[Int(handle.index)].generation == handle.generation
  }

  /// Lends the element to `body` for change; nil if the handle is stale.
  @inlinable package mutating func update<Result>(
    _ handle: Handle, _ body: (inout Element) -> Result
  ) -> Result? {
    guard contains(handle) else { return nil }
    return unsafe body(&places[Int(handle.index)].element!)
  }

  /// Lends the element to `body` for reading; nil if the handle is stale.
  @inlinable package func read<Result>(_ handle: Handle, _ body: (borrowing Element) -> Result) -> Result? {
    guard contains(handle) else { return nil }
    return unsafe body(places[Int(handle.index)].element!)
  }

  /// Lends every element in order of place, which is the same in every run.
  @inlinable package mutating func forEach(_ body: (Handle, inout Element) -> Void) {
    for index in 0..<used where unsafe places[index].generation & 1 == 1 {
      let handle = Handle(index: UInt32(index), generation: unsafe places[index].generation)
      unsafe body(handle, &places[index].element!)
    }
  }

  @usableFromInline mutating func grow() {
    let larger = min(limit, capacity * 2)
    let moved = UnsafeMutablePointer<Place>.allocate(capacity: larger)
    unsafe moved.moveInitialize(from: places, count: used)
    unsafe places.deallocate()
    unsafe places = moved
    capacity = larger
  }
}

extension Slab where Element: Copyable {
  /// A copy of the element; nil if the handle is stale.
  @inlinable package subscript(handle: Handle) -> Element? { read(handle) { $0 } }

  /// Every handle in order of place, the same in every run.
  @inlinable package var handles: [Handle] {
    var result: [Handle] = []
    for index in 0..<used where unsafe places[index].generation & 1 == 1 {
      result.append(Handle(index: UInt32(index), generation: unsafe places[index].generation))
    }
    return result
  }
}
