import ICE
import MediaPlane
import RTP
import SDP
import Simulation
import WebRTC
import Wire

/// Pictures on their way to those who look: cutting them into packets, and a viewer that says anything under its keys
/// while pictures come, feeds change and time passes.
enum ViewerHarness {
  /// The first byte chooses the limit; the rest is a byte stream of H.264, and a frame of VP8.
  static func packetizer(_ bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    let limit = 16 + Int(first) * 5
    let stream = Array(bytes.dropFirst())
    let now = Instant(nanoseconds: 0)
    if let unit = AccessUnit(annexB: stream, timestamp: 1, captured: now) {
      _ = unit.hasBidirectionalSlices
      let packets = PicturePacketizer(limit: limit).packetize(unit, as: .h264(nil), timestamp: 90)
      var machine = H264Depacketizer()
      var result: AccessUnit?
      let cut = packets.bytes
      for (index, payload) in packets.payloads.enumerated() {
        precondition(!payload.isEmpty && payload.count <= limit, "a payload of the wrong length")
        result = machine.receive(
          header: PacketHeader(
            payloadType: 96, sequence: UInt16(truncatingIfNeeded: index), timestamp: 90, ssrc: 1,
            marker: index == packets.payloads.count - 1),
          payload: cut.span.extracting(payload), now: now)
      }
      // Units of the types that packets are told by are no pictures: nobody sends them, and nobody could read them.
      let isPlain = unit.units.allSatisfy { (1...23).contains(unit.bytes[$0.lowerBound] & 0x1F) }
      if isPlain, unit.units.count <= H264Depacketizer.unitLimit, unit.units.allSatisfy({ $0.count > 1 }) {
        precondition(
          result?.units.map { Array(result?.bytes[$0] ?? []) } == unit.units.map { Array(unit.bytes[$0]) },
          "a picture changes")
      }
    }
    guard !stream.isEmpty else { return }
    let frame = AccessUnit(
      bytes: stream, units: [0..<stream.count], timestamp: 1, captured: now, isKey: true)
    let packets = PicturePacketizer(limit: limit).packetize(frame, as: .vp8, timestamp: 90)
    precondition(packets.payloads.allSatisfy { $0.count <= limit && $0.count > 1 }, "a payload is too long")
    precondition(packets.payloads.flatMap { packets.bytes[$0].dropFirst() } == stream, "a frame changes")
  }

  /// Reports of arrivals as they come, told to an estimate.
  static func estimate(_ bytes: [UInt8]) {
    var script = Script(bytes)
    var estimate = BandwidthEstimate()
    var now = Instant(nanoseconds: 1_000_000_000)
    var arrival: Int64 = 0
    while !script.isAtEnd {
      switch script.below(4) {
      case 0: estimate.lost(script.below(20))
      case 1:
        now = now + .milliseconds(Int64(script.byte()))
        estimate.settle(at: now, roundTrip: .milliseconds(Int64(script.byte())))
      case 2:
        arrival += Int64(script.byte()) * 1000 - 20_000
        // Set anew, anywhere in the 24 bits that the wire has.
        if script.below(16) == 0 { arrival = Int64(Int8(bitPattern: script.byte())) << 16 * 64_000 }
        estimate.came(
          sent: now - .milliseconds(Int64(script.byte())), arrival: arrival, bytes: script.below(2) * 1200)
      default: estimate.told(bitsPerSecond: Int(script.byte()) << script.below(40))
      }
      if let bits = estimate.bitsPerSecond {
        precondition((BandwidthEstimate.least...BandwidthEstimate.most).contains(bits), "out of bounds")
      }
      precondition(estimate.counted <= BandwidthEstimate.rateLimit, "it grows")
    }
  }

  static func viewer(_ bytes: [UInt8]) {
    ViewerPlay(bytes).run()
  }
}

/// A plane with a feed, and one viewer that is connected.
private final class ViewerPlay {
  private static let ours = Endpoint(IPAddress(v4: 0xC000_0201), port: 8189)
  private static let theirs = Endpoint(IPAddress(v4: 0xC000_020A), port: 5000)

  private let world = PaperWorld()
  private let plane: Plane
  private let browser: PeerConnection
  private let leg: LegID
  private var feeds: [FeedID] = []
  private var script: Script
  private var random = Random(seed: 7)
  private var newest: UInt16?
  private var taken = 0
  private var number: UInt32 = 0
  private var source: UInt32 = 0

  init(_ bytes: [UInt8]) {
    script = Script(bytes)
    plane = Plane(world: world, ports: 40_000...40_031)
    var turn = Turn(now: world.now, random: random.fork())
    var configuration = PeerConfiguration(
      ice: ICEConfiguration(
        .full, role: .controlling,
        bases: [ICEBase(.udp, local: ViewerPlay.theirs, socket: SocketID(Handle(index: 9, generation: 1)))],
        tag: 9), audioSource: 0xB0, videoSource: 0xB1, canonicalName: "fuzz")
    configuration.takesPictures = true
    configuration.repairSource = script.below(2) == 0 ? 0xB2 : nil
    if script.below(4) > 0 { configuration.videoExtensions = ExtensionIDs.Kind.allCases }
    configuration.videoFeedback = ["nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"]
    browser = PeerConnection(configuration, SimulatedDTLS(number: 1), &turn)
    guard
      (try? plane.listenForPeers(at: [ViewerPlay.ours], addresses: [], maker: SimulatedDTLS(number: 2)))
        != nil, let opened = try? plane.openPeer(PeerSpec(kinds: .audioAndVideo))
    else { preconditionFailure("nothing can be opened") }
    leg = opened
    feeds = [plane.openFeed(.h264(nil)), plane.openFeed(.h264(nil), isInstant: true)]
  }

  func run() {
    world.keeps = true
    let h264 = Format(
      payloadType: 102, encoding: "H264", clockRate: 90_000,
      parameters: "packetization-mode=1;profile-level-id=42e01f")
    let offer = step {
      browser.createOffer(audio: PeerMedia([.pcma], .recvonly), video: PeerMedia([h264], .recvonly), &$0)
    }
    guard let answer = try? plane.answerViewer(leg, offer, feed: feeds[0], sound: .hears(.pcma)),
      step({ (try? browser.setRemote(answer: answer, &$0)) != nil })
    else { preconditionFailure("two of ours do not understand each other") }
    for _ in 0..<60 where !browser.isReady { pass(.milliseconds(20)) }
    precondition(browser.isReady, "two of ours do not connect")
    var steps = 0
    while !script.isAtEnd, steps < 300 {
      steps += 1
      operate()
      hear()
      while plane.next() != nil {}
    }
    plane.close(leg)
    for feed in feeds { plane.closeFeed(feed) }
    precondition(plane.count == 0, "a leg stays open")
  }

  private func operate() {
    let feed = script.pick(feeds)
    switch script.below(12) {
    case 0, 1, 2, 3:
      let isKey = script.below(5) == 0
      let length = 1 + Int(script.byte()) * (script.below(4) == 0 ? 300 : 20)
      let bytes = [isKey ? 0x65 : 0x41] + [UInt8](repeating: script.byte(), count: length)
      number &+= UInt32(script.byte()) * 90
      if script.below(20) == 0 { number &+= 1 << 31 }
      plane.push(
        AccessUnit(
          bytes: bytes, units: [0..<bytes.count], timestamp: number, captured: world.now, isKey: isKey),
        into: feed)
    case 4: pass(.milliseconds(Int64(script.byte())))
    case 5:
      if script.below(3) == 0 { plane.hide(on: leg) } else { _ = plane.show(feed, on: leg) }
    case 6: plane.setCoding(script.pick([.h264(nil), .vp8]), of: feed)
    case 7: plane.pushSound(script.slice(), samples: 160, codec: script.pick([.pcma, .pcmu]), into: feed)
    case 8: report { $0.pictureLoss(sender: 0xB1, media: self.source) }
    case 9:
      let start = (newest ?? 0) &- UInt16(script.byte())
      let numbers = (0..<UInt16(script.byte() & 31)).map { start &+ $0 * UInt16(1 + script.byte() & 3) }
      report { $0.lost(sender: 0xB1, media: self.source, numbers) }
    case 10:
      let base = UInt16(script.byte())
      var time = Int64(script.byte()) * 64_000
      let arrivals = (0..<1 + script.below(40)).map { _ -> Int64? in
        time += Int64(script.byte()) * 250
        return script.below(4) == 0 ? nil : time
      }
      report {
        $0.arrivals(
          sender: 0xB1, media: self.source, TransportFeedback(base: base, number: 0, arrivals: arrivals))
      }
    default:
      var compound = script.slice()
      if compound.count >= 2 { compound[0] = compound[0] & 0x3F | 0x80 }
      report(compound)
    }
  }

  private func report(_ write: (inout ControlWriter) -> Void) {
    var writer = ControlWriter()
    write(&writer)
    report(writer.bytes)
  }

  private func report(_ compound: [UInt8]) {
    var room = [UInt8](repeating: 0, count: 2048)
    var span = room.mutableSpan
    let length = browser.protectControl(compound.span, into: &span, at: 0)
    if length > 0 { post(Array(room[..<length])) }
  }

  private func post(_ bytes: [UInt8]) {
    guard let socket = world.socket(8189) else { return }
    plane.received(bytes.span, on: socket, from: ViewerPlay.theirs, to: ViewerPlay.ours)
  }

  @discardableResult private func step<Result>(_ body: (inout Turn) -> Result) -> Result {
    var turn = Turn(now: world.now, random: random.fork())
    let result = body(&turn)
    for entry in turn.out.entries { post(Array(turn.out.bytes[entry.range])) }
    while browser.next() != nil {}
    return result
  }

  private func pass(_ interval: Interval) {
    let end = world.now + interval
    while let deadline = plane.nextDeadline, deadline <= end {
      world.now = max(world.now, deadline)
      plane.advance()
    }
    world.now = end
    step { turn in
      var handshakes = 9
      browser.advance(&turn, handshakes: &handshakes)
    }
    hear()
  }

  /// What came: pictures under numbers without a gap.
  private func hear() {
    while taken < world.kept.count {
      let datagram = world.kept[taken]
      taken += 1
      let flow = Flow(
        .udp, local: ViewerPlay.theirs, remote: ViewerPlay.ours,
        socket: SocketID(Handle(index: 9, generation: 1)))
      step { turn in
        var handshakes = 9
        guard
          case .rtp(.video, let length) = browser.receive(
            datagram.span, on: flow, &turn, handshakes: &handshakes)
        else { return }
        let plain = browser.plain
        guard let header = try? PacketHeader(parsing: plain.span.extracting(0..<length)),
          header.payloadType == 102
        else { return }
        source = header.ssrc
        if let newest { precondition(header.sequence == newest &+ 1, "a gap in the numbers") }
        newest = header.sequence
      }
    }
    world.forget()
    taken = 0
  }
}
