import Testing
import Wire

@Suite struct SlabTests {
  @Test func aStaleHandleFindsNothingAndNeverTheNextTenant() {
    var slab = Slab<String>(limit: 4)
    let first = slab.insert("first")!
    #expect(holds(slab.remove(first) == "first"))
    let second = slab.insert("second")!
    #expect(second.index == first.index)
    #expect(slab[first] == nil)
    #expect(holds(slab.remove(first) == nil))
    #expect(holds(slab.update(first) { $0 = "changed" } == nil))
    #expect(slab[second] == "second")
    #expect(holds(!slab.contains(.none)))
    #expect(holds(!slab.contains(Handle(index: first.index, generation: 0))))
  }

  @Test func aFullSlabRefusesAndTakesAgainAfterARemoval() {
    var slab = Slab<Int>(limit: 3, reserved: 1)
    let handles = (0..<3).map { slab.insert($0)! }
    #expect(holds(slab.insert(3) == nil))
    #expect(holds(slab.count == 3))
    #expect(holds(slab.remove(handles[1]) == 1))
    #expect(holds(slab.insert(4) != nil))
    #expect(holds(slab.insert(5) == nil))
  }

  @Test(arguments: 1...8)
  func agreesWithADictionaryUnderRandomOperations(seed: Int) {
    var random = Random(seed: UInt64(seed))
    var slab = Slab<UInt64>(limit: 200, reserved: 2)
    var model: [Handle: UInt64] = [:]
    var gone: [Handle] = []
    for _ in 0..<5000 {
      switch random.below(4) {
      case 0, 1:
        let value = random.next()
        if let handle = slab.insert(value) {
          #expect(model[handle] == nil, "a handle was given out twice")
          model[handle] = value
        } else {
          #expect(model.count == 200)
        }
      case 2:
        guard let handle = slab.handles.randomElement(using: &random) else { continue }
        #expect(holds(slab.remove(handle) == model.removeValue(forKey: handle)))
        gone.append(handle)
      default:
        guard let handle = slab.handles.randomElement(using: &random) else { continue }
        let value = random.next()
        slab.update(handle) { $0 = value }
        model[handle] = value
      }
      #expect(holds(slab.count == model.count))
    }
    for handle in slab.handles { #expect(slab[handle] == model[handle]) }
    #expect(holds(slab.handles.count == model.count))
    for handle in gone { #expect(slab[handle] == nil) }
    var seen: [UInt32] = []
    slab.forEach { handle, _ in seen.append(handle.index) }
    #expect(seen == seen.sorted())
  }

  @Test func everyElementIsReleasedOnce() {
    final class Witness {
      let onEnd: () -> Void
      init(_ onEnd: @escaping () -> Void) { self.onEnd = onEnd }
      deinit { onEnd() }
    }
    var ended = 0
    do {
      var slab = Slab<Witness>(limit: 100, reserved: 1)
      var handles: [Handle] = []
      for _ in 0..<50 { handles.append(slab.insert(Witness { ended += 1 })!) }
      for handle in handles.prefix(20) { _ = slab.remove(handle) }
      #expect(ended == 20)
    }
    #expect(ended == 50)
  }
}
