import Crypto
import Glibc
import ICE
import SDP
import WebRTC
import Wire

/// Calls between telephones and browsers through one relay: whichever it is, both ends are ours.
struct WebCalls {
  let loop: LoadLoop
  var phones: [LoadSocketBox] = []
  var peers: [LoadPeer] = []
  /// Where each telephone sends to.
  var relays: [sockaddr_in] = []

  /// Sets `count` calls up through the gateway: a station calls, a page answers.
  static func through(
    _ gateway: borrowing Vestibule, _ loop: LoadLoop, maker: any DTLSMaker, count: Int
  ) -> WebCalls {
    var calls = WebCalls(loop: loop)
    gateway.furnish(units: count, kind: "browser")
    let station = Phone(gateway: gateway.udp, address: "127.0.0.10")
    for index in 0..<count {
      let page = LoadPage(
        loop, http: gateway.http, link: gateway.link("p\(index)"),
        address: "127.0.\(20 + index / 200).\(index % 200 + 1)")
      calls.pages.append(page)
      let phone = LoadSocketBox("127.0.0.10")
      let peer = LoadPeer(loop, maker)
      station.invite("\(1000 + index)", call: "web\(index)", media: phone.socket.port)
      peer.take(
        answer: page.answer(peer.offer(audio: PeerMedia(LoadFormats.law, .sendrecv), video: nil)))
      guard let answer = station.awaitFinal(call: "web\(index)"), let port = mediaPort(in: answer) else {
        fail("a call was not answered")
      }
      calls.add(phone, peer, port)
    }
    guard calls.isThrough(within: 30) else {
      fail(
        "of \(count) browsers \(calls.peers.count { !$0.isConnected }) are not connected, "
          + "\(calls.peers.count { $0.opened == 0 }) hear nothing")
    }
    return calls
  }

  /// The same through rtpengine. Now and then a call of many stays mute there: such a one is made anew.
  static func through(
    _ engine: borrowing Engine, _ loop: LoadLoop, maker: any DTLSMaker, count: Int
  ) -> WebCalls {
    var calls = WebCalls(loop: loop)
    var tries = 0
    while calls.phones.count < count {
      tries += 1
      guard tries < 2 * count else { fail("too many calls through rtpengine stay mute") }
      var one = WebCalls(loop: loop)
      let phone = LoadSocketBox("127.0.0.1")
      let peer = LoadPeer(loop, maker, role: .controlled)
      let port = engine.webCall("web\(tries)", caller: phone.socket.port) { offer in
        peer.answer(to: offer, .sendrecv, LoadFormats.law)
      }
      one.add(phone, peer, port)
      if one.isThrough(within: 2) { calls.add(phone, peer, port) } else { peer.close() }
    }
    if tries > count { print("rtpengine: \(tries - count) calls of \(tries) stayed mute and were made anew") }
    return calls
  }

  /// Pages stay, as their event streams do.
  private var pages: [LoadPage] = []

  private mutating func add(_ phone: LoadSocketBox, _ peer: LoadPeer, _ port: UInt16) {
    phones.append(phone)
    peers.append(peer)
    relays.append(socketAddress("127.0.0.1", port))
  }

  /// Whether every peer has its path and keys, and hears its telephone.
  private func isThrough(within seconds: Double) -> Bool {
    guard loop.run(within: seconds, until: { peers.allSatisfy(\.isConnected) }) else { return false }
    let before = peers.map(\.opened)
    for _ in 0..<Int(seconds * 50) {
      send(size: 160, burst: 1, .both)
      loop.run(within: 0.02) { zip(peers, before).allSatisfy { $0.opened > $1 } }
      if zip(peers, before).allSatisfy({ $0.opened > $1 }) { return true }
    }
    return false
  }

  enum Ways { case towards, from, both }

  private final class Sequence { var next: UInt16 = 0 }
  private let sequence = WebCalls.Sequence()

  init(loop: LoadLoop) { self.loop = loop }

  /// One burst of each call, or of some: towards the browser, from it, or both ways.
  func send(size: Int, burst: Int, _ ways: Ways, of calls: Range<Int>? = nil) {
    let payload = [UInt8](repeating: 0xD5, count: size)
    let calls = calls ?? phones.indices
    for index in calls {
      for step in 0..<burst {
        let number = sequence.next &+ UInt16(step)
        if ways != .from {
          let packet = Relaying.voice(
            number, stamp: UInt32(number) * 160, source: UInt32(index + 1), size: size)
          phones[index].socket.send(packet, 0..<packet.count, to: relays[index])
        }
        if ways != .towards {
          peers[index].sendSound(
            payload.span, payloadType: 8, sequence: number, timestamp: UInt32(number) * 160)
        }
      }
    }
    if calls.upperBound == phones.count { sequence.next &+= UInt16(burst) }
  }

  /// Calls that speak at the same moment. More of them speak one group after another, as unconnected people do.
  private static let group = 20

  /// Sends `packets` each way that is named, `rate` a second altogether; how many arrived for each CPU second of the
  /// relay, and the share of a core that the rate takes when all arrive.
  func load(
    packets: Int, size: Int, burst: Int, _ ways: Ways, rate: Double, processor: () -> Double
  ) -> (perSecond: Double, share: Double) {
    for phone in phones { _ = phone.socket.drain() }
    for peer in peers { peer.opensEvery = 64 }
    loop.run(seconds: 0.05)
    let arrivedBefore = peers.map(\.arrived).reduce(0, +)
    var fromBrowsers = 0
    var sent = 0
    let before = processor()
    var next = LoadLoop.now
    var first = 0
    while sent < packets || first != 0 {
      let calls = first..<min(first + WebCalls.group, phones.count)
      send(size: size, burst: burst, ways, of: calls)
      first = calls.upperBound == phones.count ? 0 : calls.upperBound
      let count = calls.count * burst * (ways == .both ? 2 : 1)
      sent += count
      if ways != .towards { for index in calls { fromBrowsers += phones[index].socket.drain() } }
      next = next + Interval(nanoseconds: Int64(Double(count) / rate * 1e9))
      while LoadLoop.now < next { loop.turn(until: next) }
    }
    loop.run(seconds: 0.1)
    for phone in phones { fromBrowsers += phone.socket.drain() }
    let used = processor() - before
    for peer in peers { peer.opensEvery = 1 }
    let arrived = fromBrowsers + peers.map(\.arrived).reduce(0, +) - arrivedBefore
    // On a machine that does other things besides, sockets overflow: what arrived was paid for all the same.
    if arrived < sent * 95 / 100 { print("  \(arrived) of \(sent) packets came through") }
    guard arrived > sent / 2 else { fail("too many packets were lost to measure anything") }
    return (Double(arrived) / used, used / Double(arrived) * rate)
  }
}
