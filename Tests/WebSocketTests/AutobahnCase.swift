import Testing
import WebSocket
import Wire

/// One case of the Autobahn test suite's list (groups 1 to 7, 9 and 10), rebuilt: what the tester sends, and what an
/// echoing endpoint must say.
struct AutobahnCase: Sendable, CustomTestStringConvertible {
  enum Step: Sendable {
    case send(Frame)
    /// Bytes that are no whole frame; masked by the runner from the payload's place on.
    case part(Frame, Range<Int>)
    /// A pause of the tester, after which the endpoint must still be there, or must have failed the connection.
    case stillOpen, failedByNow
  }
  enum Close: Sendable {
    /// The tester closes with 1000 when it has heard everything, and the endpoint answers the same.
    case byTester
    /// The steps hold a Close; the endpoint answers with one of these codes (nil: a Close without code).
    case answered([UInt16?])
    /// The endpoint fails the connection with one of these codes.
    case failed([UInt16])
  }
  /// The case's number in the suite.
  var number: String
  var steps: [Step]
  var replies: [Frame] = []
  var close = Close.byTester
  /// Bytes that the tester hands to the network at once; nil for a frame at once.
  var chop: Int?

  var testDescription: String { number }

  init(
    _ number: String, _ frames: [Frame], replies: [Frame] = [], close: Close = .byTester, chop: Int? = nil
  ) {
    self.init(number, steps: frames.map(Step.send), replies: replies, close: close, chop: chop)
  }
  init(
    _ number: String, steps: [Step], replies: [Frame] = [], close: Close = .byTester, chop: Int? = nil
  ) {
    self.number = number
    self.steps = steps
    self.replies = replies
    self.close = close
    self.chop = chop
  }
  /// What is sent comes back.
  init(_ number: String, echo frame: Frame, chop: Int? = nil) {
    self.init(number, [frame], replies: [frame], chop: chop)
  }

  /// How the bytes reach the endpoint.
  enum Delivery: CaseIterable {
    case asTold, byteByByte, glued
  }

  func run(_ role: WebSocketRole, _ delivery: Delivery) {
    let endpoint = EchoEndpoint(role)
    let isMasked = role == .server
    var waiting: [UInt8] = []
    func flush() {
      guard !waiting.isEmpty else { return }
      let size: Int
      switch delivery {
      case .asTold: size = chop ?? waiting.count
      case .byteByByte: size = 1
      case .glued: size = waiting.count
      }
      var position = 0
      while position < waiting.count {
        let end = min(position + size, waiting.count)
        endpoint.receive(waiting, position..<end)
        position = end
      }
      waiting = []
    }
    for step in steps {
      switch step {
      case .send(let frame):
        waiting += frame.bytes(masked: isMasked)
        if delivery == .asTold { flush() }
      case .part(let frame, let range):
        // The head goes with the first part.
        let whole = frame.bytes(masked: isMasked)
        let head = whole.count - frame.payload.count
        let from = range.lowerBound == 0 ? 0 : head + range.lowerBound
        waiting += whole[from..<head + range.upperBound]
        if delivery == .asTold { flush() }
      case .stillOpen:
        flush()
        #expect(endpoint.isOpen && endpoint.endings.isEmpty, "\(number)")
      case .failedByNow:
        flush()
        #expect(!endpoint.isOpen && endpoint.frames.last?.opcode == 8, "\(number)")
      }
    }
    flush()
    if case .byTester = close { endpoint.receive(.close(1000)) }
    let last = endpoint.frames.last
    #expect(Array(endpoint.frames.dropLast()) == replies, "\(number)")
    #expect(last?.opcode == 8, "\(number)")
    #expect(!endpoint.isOpen, "\(number)")
    #expect(endpoint.endings.count == 1, "\(number)")
    switch close {
    case .byTester:
      #expect(last?.code == 1000, "\(number)")
      #expect(endpoint.endings == [.closedByPeer(.normal, reason: "")], "\(number)")
    case .answered(let codes):
      #expect(codes.contains(last?.code), "\(number)")
    case .failed(let codes):
      #expect(last?.code.map(codes.contains) == true, "\(number)")
      guard case .failed = endpoint.endings.first else {
        Issue.record("\(number): not failed")
        return
      }
      // It lingers, so that its last word can be read, and no longer.
      endpoint.advance(start + .seconds(1))
    }
    if role == .client { endpoint.receivedEnd() }
    #expect(endpoint.isFinished, "\(number)")
    #expect(endpoint.nextDeadline == nil, "\(number)")
  }
}

struct AutobahnTests {
  @Test(arguments: AutobahnCase.framing + AutobahnCase.texts + AutobahnCase.closing + AutobahnCase.fragmented)
  func theServerEchoes(_ item: AutobahnCase) {
    for delivery in AutobahnCase.Delivery.allCases { item.run(.server, delivery) }
  }
  @Test(arguments: AutobahnCase.framing + AutobahnCase.texts + AutobahnCase.closing + AutobahnCase.fragmented)
  func theClientEchoes(_ item: AutobahnCase) {
    for delivery in AutobahnCase.Delivery.allCases { item.run(.client, delivery) }
  }
  @Test(arguments: AutobahnCase.sizes)
  func theServerEchoesSizes(_ item: AutobahnCase) { item.run(.server, .asTold) }
  @Test(arguments: AutobahnCase.sizes)
  func theClientEchoesSizes(_ item: AutobahnCase) { item.run(.client, .asTold) }

  @Test(arguments: AutobahnCase.largest)
  func theServerEchoesTheLargestWhole(_ item: AutobahnCase) { item.run(.server, .asTold) }

  @Test func everyCaseOfTheListIsHere() {
    let all =
      AutobahnCase.framing + AutobahnCase.texts + AutobahnCase.closing + AutobahnCase.sizes
      + AutobahnCase.fragmented
    let groups = Dictionary(grouping: all) { $0.number.split(separator: ".")[0] }.mapValues(\.count)
    #expect(groups == ["1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54, "10": 1])
    #expect(Set(all.map(\.number)).count == 301)
  }
}
