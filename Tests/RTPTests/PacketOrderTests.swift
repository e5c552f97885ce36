import RTP
import Testing
import Wire

@Suite struct PacketOrderTests {
  private let start = Instant(nanoseconds: 1_000_000_000)

  /// Hands numbers in, and says in which order they come out.
  private func order(_ numbers: [Int], _ order: inout PacketOrder, at now: Instant) -> [Int] {
    var result: [Int] = []
    for number in numbers {
      let packet = [UInt8(number >> 8 & 255), UInt8(number & 255)]
      if order.take(packet.span, sequence: UInt16(number), at: now) == .now { result.append(number) }
      while let held = order.next(at: now) { result.append(Int(held[0]) << 8 | Int(held[1])) }
    }
    return result
  }

  @Test func whatComesInDisorderWaitsForItsTurn() {
    var datagrams = PacketOrder(patience: .milliseconds(30))
    #expect(
      order([65_534, 0, 65_535, 3, 2, 1, 1, 4], &datagrams, at: start) == [65_534, 65_535, 0, 1, 2, 3, 4])
    #expect(datagrams.nextDeadline == nil)
  }

  @Test func whatIsMissingIsGivenUp() {
    var datagrams = PacketOrder(patience: .milliseconds(30))
    #expect(order([1, 3, 4], &datagrams, at: start) == [1])
    #expect(datagrams.nextDeadline == start + .milliseconds(30))
    #expect(order([5], &datagrams, at: start + .milliseconds(29)) == [])
    #expect(order([6], &datagrams, at: start + .milliseconds(30)) == [3, 4, 5, 6])
    #expect(order([2], &datagrams, at: start + .milliseconds(30)) == [], "too late")
  }

  @Test func nothingWaitsWhereTheCarriageKeepsOrder() {
    var connection = PacketOrder(patience: nil)
    #expect(order([1, 3, 4, 2, 5], &connection, at: start) == [1, 3, 4, 5])
    #expect(connection.nextDeadline == nil)
  }

  @Test func aCountThatBeginsAnewIsFollowed() {
    var datagrams = PacketOrder(patience: .milliseconds(30))
    #expect(order([5000, 5001, 10, 11], &datagrams, at: start) == [5000, 5001, 10, 11])
    datagrams.forget()
    #expect(order([9, 10], &datagrams, at: start) == [9, 10])
  }

  @Test func whatWaitsIsBounded() {
    var datagrams = PacketOrder(patience: .seconds(3600))
    let result = order([0] + Array(2..<400), &datagrams, at: start)
    #expect(result.first == 0 && result.count > 200 && result == result.sorted())
  }
}
