import Journal
import Testing
import Wire

@Suite struct RedactionTests {
  @Test func aSecretIsNeverPrinted() {
    struct Holder { var password = Secret("open-sesame") }
    let holder = Holder()
    var dumped = ""
    dump(holder, to: &dumped)
    for text in ["\(holder)", String(reflecting: holder), dumped, holder.password.description] {
      #expect(!text.contains("sesame"))
    }
    #expect("\(holder.password)" == "(secret)")
    #expect(holder.password.revealText() == "open-sesame")
    #expect(Secret([1, 2]) == Secret([1, 2]))
    #expect(Secret([1, 2]) != Secret([1, 3]))
    #expect(Secret([1, 2]) != Secret([1]))
  }

  @Test(arguments: [
    ("192.0.2.77", "192.0.2.x"), ("2001:db8:1:2::77", "2001:db8:1::x"), ("2001:db8::77", "2001:db8::x"),
    ("::1", "::x"),
  ])
  func anAddressShowsItsNetworkOnly(text: String, shown: String) throws {
    let address = Address(try #require(IPAddress(text)))
    #expect(address.description == shown)
    #expect(Record.Value.address(address).description == shown)
    var dumped = ""
    dump(address, to: &dumped)
    #expect(!dumped.contains("77"))
    #expect(address.reveal().address.description == text)
  }
}

@Suite struct LogTests {
  @Test func onlyWhatMattersEnoughIsMadeAndWritten() {
    let kept = RecentRecords()
    let log = Log(kept, threshold: .notice)
    var made = 0
    func text(_ text: String) -> String {
      made += 1
      return text
    }
    log.write(.debug, "a.b", text("no"))
    log.write(.info, "a.b", text("no"))
    log.write(.notice, "a.b", text("yes"), ["call": 17, "end": "busy", "secret": .secret(Secret("x"))])
    log.write(.error, "a.c", text("yes"))
    #expect(made == 2)
    #expect(log.written == 2)
    #expect(kept.records.map(\.event) == ["a.b", "a.c"])
    #expect(kept.records[0].fields.map(\.name) == ["call", "end", "secret"])
    #expect(kept.records[0].fields.map(\.value.description) == ["17", "busy", "(secret)"])
  }

  @Test func theNewestRecordsAreKeptAndNeverMoreThanTheLimit() {
    let kept = RecentRecords(limit: 10)
    let log = Log(kept)
    for number in 0..<1000 {
      log.write(.info, "n", "\(number)")
      #expect(kept.records.count <= 10)
      #expect(kept.records.last?.message == "\(number)")
    }
  }

  @Test func countersKeepTheOrderTheyWereMadeIn() {
    let counters = Counters()
    let calls = counters.make("calls_total", help: "Calls.", labels: ["end": "busy"])
    let others = counters.make("calls_total", labels: ["end": "answered"])
    let open = counters.make("doors_open", .gauge)
    #expect(counters.make("calls_total", labels: ["end": "busy"]) === calls)
    calls.add()
    calls.add(2)
    others.add()
    open.set(5)
    open.set(4)
    let families = counters.families
    #expect(families.map(\.name) == ["calls_total", "doors_open"])
    #expect(families.map(\.kind) == [.counter, .gauge])
    #expect(families[0].help == "Calls.")
    #expect(families[0].samples.map(\.value) == [3, 1])
    #expect(families[0].samples.map { $0.labels.map(\.value) } == [["busy"], ["answered"]])
    #expect(families[1].samples.map(\.value) == [4])
  }
}
