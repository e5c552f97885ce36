// What was lost leaves again: pictures from what is shared by all viewers, under a source of their own where the peer
// knows how (RFC 4588), else byte for byte as they were; voices from what was kept of them (RFC 4585).
//
// Bounded: a packet is repeated once in a round trip, a report's numbers are few, and repetitions are paid from the
// viewer's own account, so that nobody can make much out of little.

internal import Crypto
internal import RTP
internal import WebRTC
internal import Wire

extension Plane {
  private static let leastPause = Interval.milliseconds(10)
  /// Voices: packets kept, and how far a gap may reach that is asked for.
  private static let voices = 64
  private static let longestGap: UInt16 = 8

  // MARK: Pictures

  func repeatPackets(_ numbers: [UInt16], to viewer: Viewer) {
    guard viewer.mayRepeat, viewer.payloadType != nil else { return }
    let now = world.now
    let pause = max(viewer.stream.figures.roundTrip ?? .zero, Plane.leastPause)
    viewer.pacer.refill(at: now)
    for number in numbers {
      viewer.statistics.lost += 1
      let place = Int(number) & (Viewer.repetitionLimit - 1)
      let known = viewer.repetitions[place]
      if known.sequence == number, let at = known.at, now - at < pause { continue }
      guard viewer.pacer.mayGo, let sent = viewer.log.find(number, at: now) else { continue }
      viewer.repetitions[place] = Viewer.Repetition(sequence: number, at: now)
      viewer.statistics.repeated += 1
      viewer.pacer.spend(repeatPacket(sent, Int(number &- sent.sequence), viewer, at: now))
    }
  }

  /// Sends one packet of a run again: how many bytes.
  private func repeatPacket(
    _ sent: Viewer.Sent, _ offset: Int, _ viewer: Viewer, at now: Instant
  ) -> Int {
    let peer = viewer.peer
    let index = sent.place + offset
    let payloads = sent.picture.payloads
    let isLast = index == payloads.count - 1
    let shift = UInt16(truncatingIfNeeded: offset)
    let bytes = sent.picture.bytes
    // A repair is read as what the pictures are now.
    guard let repairType = viewer.repairType, sent.payloadType == viewer.payloadType else {
      // The same bytes as before, whatever was agreed on since: two texts under one key stream would give both away.
      viewer.head.begin(
        ssrc: viewer.stream.timeline.ssrc, timestamp: sent.timestamp, sent.ids, sent.content)
      viewer.head.set(
        payloadType: sent.payloadType, sequence: sent.sequence &+ shift, marker: isLast,
        transport: sent.transport &+ shift)
      let head = viewer.head.bytes
      send(head.span, bytes.span.extracting(payloads[index]), .again, by: peer)
      return payloads[index].count + 40
    }
    var content = PacketHead.Content()
    content.sendTime = now.sendTime
    content.captured = sent.content.captured
    content.isFull = sent.content.isFull
    viewer.head.begin(ssrc: peer.repairSource, timestamp: sent.timestamp, viewer.ids, content)
    viewer.head.set(
      payloadType: repairType, sequence: peer.repairSequence, marker: isLast, transport: peer.transport)
    peer.repairSequence &+= 1
    // The number that it had, before what it was.
    let number = sent.sequence &+ shift
    repair.removeAll(keepingCapacity: true)
    repair.append(UInt8(number >> 8))
    repair.append(UInt8(number & 0xFF))
    repair.append(payloads[index], of: bytes)
    let payload = repair
    let whole = viewer.head.bytes.count + payload.count + peer.connection.overhead
    if viewer.head.hasTransportSequence {
      viewer.departures.add(peer.transport, bytes: whole, at: now)
      peer.transport &+= 1
    }
    let head = viewer.head.bytes
    send(head.span, payload.span, by: peer)
    return whole
  }

  // MARK: Voices

  /// Whether the peer asks for what it lost, and may be asked, as the descriptions say now.
  func settleRepetition(of stream: Stream) {
    guard stream.kind == .audio, case .peer(let peer) = stream.carrier else { return }
    let repeats = peer.connection.terms(.audio)?.repeats ?? false
    if repeats, stream.history == nil { stream.history = PacketHistory(limit: Plane.voices) }
    if !repeats { stream.history = nil }
  }

  /// Sends again what a listener lost.
  func repeatVoice(_ numbers: [UInt16], _ stream: Stream) {
    guard case .peer(let peer) = stream.carrier, var history = stream.history else { return }
    stream.history = nil
    let now = world.now
    for number in numbers.prefix(Plane.voices) {
      _ = history.recall(number, at: now, roundTrip: stream.figures.roundTrip) { packet in
        send(packet.extracting(0..<12), packet.extracting(12..<packet.count), .again, by: peer)
      }
    }
    stream.history = history
  }

  /// Asks at once for a voice's packets that are missing before one that came, where the peer keeps them.
  func askForVoice(before sequence: UInt16, _ stream: Stream) {
    defer {
      if stream.newestVoice.map({ Int16(bitPattern: sequence &- $0) > 0 }) ?? true {
        stream.newestVoice = sequence
      }
    }
    guard stream.history != nil, case .peer = stream.carrier, let newest = stream.newestVoice else { return }
    let gap = sequence &- newest
    guard gap >= 2, gap <= Plane.longestGap + 1 else { return }
    control.removeAll()
    control.receiverReport(ssrc: stream.timeline.ssrc, nil)
    control.lost(
      sender: stream.timeline.ssrc, media: stream.pinnedSource, (1..<gap).map { newest &+ $0 })
    sendControl(stream)
  }
}
