import Glibc
import Reactor
import Testing
import Wire

@Suite struct StreamTests {
  /// A listener, a connection to it, and the accepted end.
  private func pair(_ probe: Probe, _ any: Endpoint = anyV4) throws -> (near: SocketID, far: SocketID) {
    let listener = try probe.reactor.listen(any)
    let near = try probe.reactor.connect(try #require(probe.reactor.local(of: listener)))
    #expect(probe.runs { !probe.accepted.isEmpty && !probe.connected.isEmpty })
    return (near, probe.accepted[0].stream)
  }

  @Test(arguments: [anyV4, anyV6])
  func bytesGoBothWaysInOrder(any: Endpoint) throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let (near, far) = try pair(probe, any)
    #expect(probe.connected == [near])
    #expect(probe.accepted[0].from == probe.reactor.local(of: near))
    #expect(probe.accepted[0].peer == nil)
    for byte in UInt8(0)..<100 {
      #expect(probe.reactor.write([byte], on: near))
      #expect(probe.reactor.write([byte, byte], on: far))
    }
    #expect(probe.runs { probe.bytes[far]?.count == 100 && probe.bytes[near]?.count == 200 })
    #expect(probe.bytes[far] == Array(0..<100))
    #expect(probe.bytes[near] == (UInt8(0)..<100).flatMap { [$0, $0] })
  }

  @Test func whatIsWrittenBeforeTheConnectionStandsFollowsIt() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let listener = try probe.reactor.listen(anyV4)
    let near = try probe.reactor.connect(try #require(probe.reactor.local(of: listener)))
    #expect(probe.reactor.write([1, 2, 3], on: near))
    #expect(probe.runs { probe.bytes.values.contains([1, 2, 3]) })
  }

  @Test func aRefusedConnectionIsToldOnceAndItsHandleIsGone() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let listener = try probe.reactor.listen(anyV4)
    let there = try #require(probe.reactor.local(of: listener))
    probe.reactor.close(listener, flushing: false)
    let near = try probe.reactor.connect(there)
    #expect(probe.runs { !probe.closed.isEmpty })
    #expect(probe.closed.map(\.failure) == [.refused])
    #expect(probe.closed.map(\.stream) == [near])
    #expect(probe.reactor.local(of: near) == nil)
    #expect(!probe.reactor.write([1], on: near))
    probe.turns(3)
    #expect(probe.closed.count == 1)
  }

  @Test func aFullQueueRefusesWholeWritesAndTellsWhenItIsEmpty() throws {
    var options = Reactor.Options()
    options.streamQueueLimit = 200_000
    let probe = Probe(options)
    defer { probe.reactor.retire() }
    let (near, far) = try pair(probe)
    probe.reactor.setReading(false, on: far)
    let block = (0..<50_000).map { UInt8(truncatingIfNeeded: $0) }
    var taken = 0
    // The kernel's own buffers fill first; then ours; then no more.
    while taken < 1000 {
      if !probe.reactor.write(block, on: near) {
        probe.turns(2)
        if !probe.reactor.write(block, on: near) { break }
      }
      taken += 1
      #expect(probe.reactor.unsent(on: near) <= 200_000)
    }
    #expect(taken > 3 && taken < 1000)
    #expect(probe.reactor.unsent(on: near) > 0)
    let before = probe.drained.count
    probe.turns(3)
    #expect(probe.drained.count == before)
    probe.reactor.setReading(true, on: far)
    #expect(probe.runs { probe.bytes[far]?.count == taken * block.count })
    #expect(probe.runs { probe.drained.count == before + 1 })
    #expect(probe.reactor.unsent(on: near) == 0)
    let whole = try #require(probe.bytes[far])
    #expect(whole.indices.allSatisfy { whole[$0] == UInt8(truncatingIfNeeded: $0 % 50_000) })
  }

  @Test func closingWithFlushingSendsAllThatWasQueued() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let (near, far) = try pair(probe)
    let block = [UInt8](repeating: 7, count: 900_000)
    #expect(probe.reactor.write(block, on: near))
    probe.reactor.close(near, flushing: true)
    #expect(!probe.reactor.write([1], on: near))
    #expect(probe.reactor.local(of: near) == nil)
    // The far end still talks, which must not cut our last words off.
    #expect(probe.reactor.write([9, 9, 9], on: far))
    #expect(probe.runs { probe.bytes[far]?.count == block.count && !probe.closed.isEmpty })
    #expect(probe.closed.map(\.stream) == [far])
    #expect(probe.closed.map(\.failure) == [.closed])
    #expect(probe.bytes[near] == nil)
  }

  @Test func closingWithoutFlushingEndsAtOnce() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let (near, far) = try pair(probe)
    probe.reactor.close(near, flushing: false)
    #expect(probe.runs { !probe.closed.isEmpty })
    #expect(probe.closed.map(\.stream) == [far])
  }

  @Test func aPeerThatResetsIsToldAsAFailure() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let (near, far) = try pair(probe)
    #expect(probe.reactor.write([UInt8](repeating: 0, count: 10_000), on: far))
    probe.reactor.setReading(false, on: near)
    probe.turns(3)
    // Unread bytes make the kernel answer a close with a reset.
    probe.reactor.close(near, flushing: false)
    #expect(probe.runs { !probe.closed.isEmpty })
    #expect(probe.closed.map(\.failure) == [.reset])
  }

  @Test func anEndThatWaitsBehindUnreadBytesDoesNotSpinAndIsToldAfterThem() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let (near, far) = try pair(probe)
    probe.reactor.setReading(false, on: far)
    #expect(probe.reactor.write([1, 2, 3], on: near))
    probe.reactor.close(near, flushing: true)
    for _ in 0..<20 { probe.reactor.turn(waitingAtMost: .milliseconds(5)) }
    #expect(probe.bytes[far] == nil)
    #expect(probe.closed.isEmpty)
    probe.reactor.setReading(true, on: far)
    #expect(probe.runs { !probe.closed.isEmpty })
    #expect(probe.bytes[far] == [1, 2, 3])
  }

  @Test func aStreamClosedFromItsOwnNewsIsClosed() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let (near, far) = try pair(probe)
    probe.onBytes = { probe, stream in probe.reactor.close(stream, flushing: false) }
    #expect(probe.reactor.write([1], on: near))
    #expect(probe.runs { probe.closed.map(\.stream) == [near] })
    #expect(probe.bytes[far] == [1])
  }

  /// The table of descriptors is filled to the brim; guests are turned away, the loop rests, and serves again.
  @Test func withoutDescriptorsGuestsAreTurnedAwayWithoutSpinning() async throws {
    await #expect(processExitsWith: .success) {
      var limit = rlimit(rlim_cur: 64, rlim_max: 64)
      unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      let probe = Probe()
      let listener = try probe.reactor.listen(anyV4)
      let there = probe.reactor.local(of: listener)!
      let guest = try probe.reactor.connect(there)
      precondition(probe.runs { probe.accepted.count == 1 })
      // The last descriptors go, then the guest that already stands in the queue wants one.
      let waiting = try probe.reactor.connect(there)
      var hoard: [Int32] = []
      while case let number = unsafe open("/dev/null", O_RDONLY), number >= 0 { hoard.append(number) }
      let before = probe.reactor.turns
      precondition(probe.runs { probe.closed.contains { $0.stream == waiting } })
      for _ in 0..<10 { probe.reactor.turn(waitingAtMost: .milliseconds(5)) }
      precondition(probe.reactor.turns - before < 40)
      precondition(probe.reactor.refusedForDescriptors >= 1)
      precondition(probe.accepted.count == 1)
      precondition(probe.reactor.write([1], on: guest))
      precondition(probe.runs { probe.bytes[probe.accepted[0].stream] == [1] })
      for number in hoard { close(number) }
      _ = try probe.reactor.connect(there)
      precondition(probe.runs { probe.accepted.count == 2 })
      probe.reactor.retire()
      exit(0)
    }
  }

  @Test func theSocketTableIsBounded() throws {
    var options = Reactor.Options()
    options.socketLimit = 2
    let probe = Probe(options)
    defer { probe.reactor.retire() }
    let first = try probe.reactor.openDatagram(anyV4, DatagramOptions())
    _ = try probe.reactor.openDatagram(anyV4, DatagramOptions())
    #expect(throws: NetworkFailure.tooManyOpen) { try probe.reactor.listen(anyV4) }
    probe.reactor.close(first, flushing: false)
    _ = try probe.reactor.listen(anyV4)
  }
}

@Suite struct LocalListenerTests {
  private func path(_ name: String) -> String { "/tmp/vestibule-test-\(getpid())-\(name).sock" }

  @Test func aGuestOfOurOwnUserIsPermittedAndNamed() throws {
    let probe = Probe()
    let path = path("peer")
    let listener = try probe.reactor.listen(path: path, mode: 0o660, group: "no-such-group")
    var status = stat()
    #expect(unsafe stat(path, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o660)
    let near = try probe.reactor.connect(path: path)
    #expect(probe.runs { !probe.accepted.isEmpty && !probe.connected.isEmpty })
    let peer = try #require(probe.accepted[0].peer)
    #expect(peer.isPermitted)
    #expect(peer.userID == geteuid())
    #expect(peer.processID == getpid())
    #expect(!peer.user.isEmpty)
    if geteuid() == 0 { #expect(peer.user == "root") }
    #expect(probe.reactor.write(Array("GET".utf8), on: near))
    #expect(probe.runs { probe.bytes[probe.accepted[0].stream] == Array("GET".utf8) })
    probe.reactor.close(listener, flushing: false)
    #expect(unsafe stat(path, &status) != 0, "the socket file goes with its listener")
    probe.reactor.retire()
  }

  @Test func aStaleSocketFileIsReplacedAndALiveOneIsNot() throws {
    let path = path("stale")
    defer { unsafe unlink(path) }
    // A second name of the socket file stays behind, as a killed process leaves the first.
    let first = Probe()
    let passing = try first.reactor.listen(path: path + "1", mode: 0o600, group: nil)
    #expect(unsafe link(path + "1", path) == 0)
    first.reactor.close(passing, flushing: false)
    first.reactor.retire()
    #expect(unsafe access(path, F_OK) == 0)
    let probe = Probe()
    defer { probe.reactor.retire() }
    _ = try probe.reactor.listen(path: path, mode: 0o600, group: nil)
    #expect(throws: NetworkFailure.addressInUse) {
      try probe.reactor.listen(path: path, mode: 0o600, group: nil)
    }
    _ = try probe.reactor.connect(path: path)
    // The first guest was the second listener's question whether anybody lives here.
    #expect(probe.runs { probe.accepted.count == 2 })
  }

  @Test func aFileThatIsNoSocketIsLeftAlone() throws {
    let path = path("file")
    let file = unsafe open(path, O_CREAT | O_WRONLY, 0o600)
    close(file)
    defer { unsafe unlink(path) }
    let probe = Probe()
    defer { probe.reactor.retire() }
    #expect(throws: NetworkFailure.self) { try probe.reactor.listen(path: path, mode: 0o600, group: nil) }
    #expect(unsafe access(path, F_OK) == 0)
  }
}
