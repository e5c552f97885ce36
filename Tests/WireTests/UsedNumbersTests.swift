import Testing
import Wire

@Suite struct UsedNumbersTests {
  @Test func aNumberIsTakenOnceInWhateverOrder() {
    var used = UsedNumbers(newest: 1000)
    for number: UInt64 in [1000, 1003, 1001, 990, 1002] {
      #expect(used.use(number) == true)
      #expect(used.use(number) == false)
    }
    #expect(used.newest == 1003)
  }

  @Test func whatLiesTooFarBackCountsAsUsed() {
    var used = UsedNumbers(newest: 0)
    #expect(used.use(5000) == true)
    #expect(used.use(5000 - UsedNumbers.reach + 1) == true)
    #expect(used.use(5000 - UsedNumbers.reach) == false)
    #expect(used.use(0) == false)
  }

  @Test func nobodyIsToldTwiceWhateverComes() {
    for seed: UInt64 in 0..<20 {
      var dice = Random(seed: seed)
      var used = UsedNumbers(newest: 300)
      var taken: Set<UInt64> = []
      for _ in 0..<5000 {
        let number = used.newest + dice.below(seed < 10 ? 30 : 400) - min(used.newest, dice.below(250))
        let isOld = used.newest > number && used.newest - number >= UsedNumbers.reach
        #expect(used.use(number) == (!isOld && !taken.contains(number)))
        if !isOld { taken.insert(number) }
      }
    }
  }
}
