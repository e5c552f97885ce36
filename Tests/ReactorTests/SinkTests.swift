import Glibc
import Journal
import Reactor
import Testing
import Wire

@Suite struct SinkTests {
  private let wall = WallTime(seconds: 1_795_210_119)

  @Test func aRecordIsOneLineOfText() {
    let record = Record(
      .notice, "call.ended", "Call over",
      ["call": 17, "end": "busy", "name": "Martin \"x\"", "secret": .secret(Secret("abc")), "empty": ""])
    #expect(
      LogText.line(record, at: wall)
        == #"2026-11-20T21:28:39.000Z notice call.ended: Call over call=17 end=busy name="Martin \"x\"" secret=(secret) empty="""#
    )
  }

  @Test func whatAPeerSentCannotBeginALineOfItsOwn() {
    let evil = "x\r\n2026 NOTICE\u{1B}[2J\u{7F}"
    let line = LogText.line(Record(.warning, "e", evil, ["agent": .text(evil)]), at: wall)
    #expect(line.utf8.allSatisfy { $0 >= 32 && $0 != 127 })
    let verbatim = LogText.line(Record(.notice, "ban", evil, isVerbatim: true), at: wall)
    #expect(verbatim.utf8.allSatisfy { $0 >= 32 && $0 != 127 })
    let entry = LogText.journalEntry(Record(.warning, "e", "m", ["agent": "a\nPRIORITY=0"]))
    let length: [UInt8] = [12, 0, 0, 0, 0, 0, 0, 0]
    let expected =
      Array("MESSAGE=m\nPRIORITY=4\nSYSLOG_IDENTIFIER=vestibuled\nVESTIBULE_EVENT=e\nVESTIBULE_AGENT\n".utf8)
      + length + Array("a\nPRIORITY=0\n".utf8)
    #expect(entry == expected)
  }

  @Test func aVerbatimLinePassesAsItStands() {
    let text =
      "NOTICE[1] chan_sip.c: Registration from '<sip:401@x>' failed for '192.0.2.1:5060' - Wrong password"
    #expect(LogText.line(Record(.notice, "auth.failed", text, isVerbatim: true), at: wall) == text)
  }

  @Test func nobodyToNotifyIsNoError() {
    let notifier = ServiceNotifier(path: "/nonexistent/notify", watchdogMicroseconds: 10_000_000)
    notifier.ready()
    notifier.alive()
    notifier.stopping()
    #expect(notifier.watchdogInterval == .seconds(5))
    #expect(ServiceNotifier(path: "@none", watchdogMicroseconds: 0).watchdogInterval == nil)
  }

  @Test func systemdHearsItsWordsAndTheJournalItsFields() throws {
    let path = "/tmp/vestibule-test-\(getpid())-notify.sock"
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
    let listener = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    let bound = unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    #expect(bound == 0)
    defer {
      close(listener)
      unsafe unlink(path)
    }
    func heard() -> String {
      var bytes = [UInt8](repeating: 0, count: 4096)
      let count = unsafe recv(listener, &bytes, bytes.count, Int32(MSG_DONTWAIT))
      return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
    let notifier = ServiceNotifier(path: path, watchdogMicroseconds: nil)
    notifier.ready()
    #expect(heard() == "READY=1")
    notifier.alive()
    #expect(heard() == "WATCHDOG=1")
    notifier.status("two\nlines")
    #expect(heard() == "STATUS=two lines")
    notifier.stopping()
    #expect(heard() == "STOPPING=1")
    JournalSink(path: path).write(Record(.error, "store.failed", "Full", ["disk": "a"]), at: wall)
    #expect(
      heard()
        == "MESSAGE=Full\nPRIORITY=3\nSYSLOG_IDENTIFIER=vestibuled\nVESTIBULE_EVENT=store.failed\nVESTIBULE_DISK=a\n"
    )
  }
}
