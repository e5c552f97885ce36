import Testing
import Wire

@Suite struct RandomTests {
  /// RFC 8439, appendix A.1, vectors 1 and 2: the zero key's first two blocks.
  @Test func theZeroSeedGivesTheKeystreamOfTheRFC() {
    var random = Random(seed: (0, 0, 0, 0))
    #expect(
      ASCII.hex(random.bytes(64))
        == "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        + "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586")
    #expect(
      ASCII.hex(random.bytes(64))
        == "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        + "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f")
  }

  /// RFC 8439, appendix A.1, vector 3: key bytes 0 to 30 zero, byte 31 one, counter 1.
  @Test func everyKeyByteCounts() {
    var random = Random(seed: (0, 0, 0, 1 << 56))
    _ = random.bytes(64)
    #expect(
      ASCII.hex(random.bytes(32)) == "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a")
  }

  @Test func equalSeedsGiveEqualStreamsAndOthersDoNot() {
    var one = Random(seed: 42)
    var same = Random(seed: 42)
    var other = Random(seed: 43)
    let first = one.bytes(1000)
    #expect(first == same.bytes(1000))
    #expect(first != other.bytes(1000))
    var child = one.fork()
    #expect(child.next() != one.next())
  }

  @Test func belowStaysBelowAndReachesEveryNumber() {
    var random = Random(seed: 1)
    var seen = [Int](repeating: 0, count: 10)
    for _ in 0..<10_000 { seen[Int(random.below(10))] += 1 }
    #expect(seen.allSatisfy { $0 > 850 && $0 < 1150 })
    #expect(random.below(1) == 0)
  }

  @Test func hexHasTwoDigitsAByte() {
    var random = Random(seed: (0, 0, 0, 0))
    #expect(random.hex(bytes: 4) == "76b8e0ad")
    #expect(random.hex(bytes: 0).isEmpty)
  }
}
