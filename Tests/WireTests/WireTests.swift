import Testing
import Wire

@Suite struct ASCIITests {
  @Test func lettersAreComparedWithoutCaseAndNothingElse() {
    #expect(ASCII.equalIgnoringCase("Via", "vIA"))
    #expect(!ASCII.equalIgnoringCase("Via", "Vi"))
    #expect(!ASCII.equalIgnoringCase("[", "{"))
    #expect(!ASCII.equalIgnoringCase("@", "`"))
    for byte in UInt8.min...UInt8.max {
      let isUpper = byte >= 65 && byte <= 90
      #expect(ASCII.lowered(byte) == (isUpper ? byte + 32 : byte))
      #expect(ASCII.isDigit(byte) == (byte >= 48 && byte <= 57))
      #expect(ASCII.isAlpha(byte) == (isUpper || (byte >= 97 && byte <= 122)))
    }
  }

  @Test func hexadecimalGoesBothWays() {
    for value in UInt8(0)...15 { #expect(ASCII.hexValue(ASCII.hexDigit(value)) == value) }
    #expect(ASCII.hexValue(UInt8(ascii: "F")) == 15)
    #expect(ASCII.hexValue(UInt8(ascii: "g")) == nil)
    #expect(ASCII.hexValue(UInt8(ascii: "/")) == nil)
    #expect(ASCII.hex([0, 0x7F, 0xFF]) == "007fff")
  }
}

@Suite struct OutboxTests {
  private let flow = Flow(
    .udp, local: Endpoint(.loopbackV4, port: 1), remote: Endpoint(.loopbackV4, port: 2))

  @Test func messagesLieInOrderAndAFullBoxSaysSo() {
    var box = Outbox(limit: 10)
    #expect(holds(box.send([1, 2, 3], on: flow)))
    let second: [UInt8] = [4, 5, 6, 7]
    #expect(holds(box.send(second.span, on: flow, token: 9)))
    #expect(holds(!box.send([0, 0, 0, 0], on: flow)))
    #expect(holds(box.send([8, 9, 10], on: flow)))
    #expect(holds(box.refused == 1))
    #expect(holds(box.entries.map(\.range) == [0..<3, 3..<7, 7..<10]))
    #expect(holds(box.entries.map(\.token) == [0, 9, 0]))
    #expect(holds(box.bytes == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]))
    box.removeAll()
    #expect(holds(box.isEmpty && box.bytes.isEmpty))
  }
}
