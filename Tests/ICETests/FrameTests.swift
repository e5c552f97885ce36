import ICE
import Testing
import Wire

/// Messages in a stream, whole, byte by byte and glued.
struct FrameTests {
  static let stream: [UInt8] = [0, 3, 1, 2, 3, 0, 0, 0, 1, 9, 0, 0] + [0, 2, 7, 7]
  static let messages: [[UInt8]] = [[1, 2, 3], [9], [7, 7]]

  static func read(_ pieces: [[UInt8]]) -> (messages: [[UInt8]], isTooLong: Bool) {
    var reader = ICEFrameReader()
    var messages: [[UInt8]] = []
    for piece in pieces {
      reader.append(piece.span)
      reading: while true {
        switch reader.next() {
        case .frame(let range): messages.append(Array(reader.bytes[range]))
        case .incomplete: break reading
        case .tooLong: return (messages, true)
        }
      }
    }
    return (messages, false)
  }

  @Test func messagesAreFoundHoweverTheStreamIsCut() {
    #expect(Self.read([Self.stream]).messages == Self.messages)
    #expect(Self.read(Self.stream.map { [$0] }).messages == Self.messages)
    for cut in 1..<Self.stream.count {
      #expect(
        Self.read([Array(Self.stream[..<cut]), Array(Self.stream[cut...])]).messages == Self.messages)
    }
  }

  @Test func aMessageThatIsTooLongEndsIt() {
    let longest = [8, 0] + [UInt8](repeating: 5, count: 2048)
    #expect(Self.read([longest]).messages.map(\.count) == [2048])
    let longer = Self.read([Self.stream, [8, 1]])
    #expect(longer.isTooLong && longer.messages == Self.messages)
  }

  @Test func whatWasReadIsNotKept() {
    var reader = ICEFrameReader()
    for _ in 0..<1000 {
      reader.append((Self.stream + [0]).span)
      while case .frame = reader.next() {}
      reader.append([1, 1].span)
      while case .frame = reader.next() {}
      #expect(reader.bytes.count <= Self.stream.count + 3)
    }
  }
}
