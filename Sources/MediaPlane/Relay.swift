// The path of a media packet: may it speak, what does it mean, where does it go; and the frames of our own sounds.

internal import Codecs
internal import RTP
internal import Wire

extension Plane {
  func receiveMedia(_ datagram: Span<UInt8>, _ stream: Stream, from remote: Endpoint, to local: Endpoint) {
    if let pinned = stream.pinned {
      guard remote == pinned else {
        stream.figures.foreign += 1
        return
      }
    } else if !stream.allows(remote.address) || remote.port == 0 {
      stream.figures.foreign += 1
      return
    }
    guard let header = stream.header(of: datagram) else { return }
    guard stream.isNegotiated, stream.pinned == nil || header.ssrc == stream.pinnedSource else {
      stream.figures.foreign += 1
      return
    }
    guard let meaning = stream.meaning(of: header) else { return }
    if stream.pinned == nil { pin(stream, remote, header.ssrc, local) }
    take(datagram, header, meaning, stream)
  }

  /// A packet of somebody who may speak.
  func take(_ datagram: Span<UInt8>, _ header: PacketHeader, _ meaning: Meaning, _ stream: Stream) {
    let now = world.now
    stream.figures.packetsIn += 1
    stream.figures.bytesIn += UInt64(header.payload.count)
    if case .media(_, let clockRate) = meaning { stream.count(at: clockRate) }
    stream.reception.receive(sequence: header.sequence, timestamp: header.timestamp, at: now)
    stream.lastPacket = now
    if stream.isSilent { resume(stream) }
    guard stream.mayPeerSend else {
      stream.figures.held += 1
      return
    }
    switch meaning {
    case .key: receiveKey(datagram, header, stream, at: now)
    case .media(let format, _):
      if stream.filled != nil || stream.tapped != nil { show(datagram, header, format, stream, at: now) }
      if let listener = stream.listener { hear(datagram, header, format, stream, listener) }
      var wasMapped = true
      for link in stream.links {
        if !forward(datagram, header, stream, link, at: now) { wasMapped = false }
      }
      if !wasMapped { stream.figures.unmapped += 1 }
    }
  }

  private func pin(_ stream: Stream, _ remote: Endpoint, _ source: UInt32, _ local: Endpoint) {
    stream.pinned = remote
    stream.pinnedSource = source
    // Reports that came before from another source were no reports of this one.
    if stream.controlSource != source || stream.pinnedControl?.address != remote.address {
      stream.pinnedControl = nil
      stream.controlSource = nil
    }
    if stream.isBoundToAll, !local.address.isUnspecified { stream.source = local.address }
    stream.findDestination()
    begun(stream)
  }

  /// The first packet of a source is here.
  func begun(_ stream: Stream) {
    tell(.firstPacket(stream.leg, stream.kind))
    if stream.kind == .video, !stream.links.isEmpty { requestKeyFrame(stream, by: .pictureLoss) }
  }

  /// Hands a packet on. False when the other side cannot have it; a listener that is held, or hears something of
  /// ours, misses it rightly.
  func forward(
    _ datagram: Span<UInt8>, _ header: PacketHeader, _ stream: Stream, _ link: Link, at now: Instant
  ) -> Bool {
    let sink = link.sink
    guard sink.isListening, let destination = sink.destination, !sink.isGenerating else { return true }
    switch link.routes[Int(header.payloadType)] {
    case .drop:
      // Nothing came of it, so nothing is missing.
      sink.timeline.skip(from: stream.feeder, sequence: header.sequence)
      return false
    case .relay(let payloadType, let clockRate):
      sink.timeline.setClock(clockRate)
      guard
        let stamp = sink.timeline.relay(
          from: stream.feeder, sequence: header.sequence, timestamp: header.timestamp, at: now)
      else { return true }
      send(
        datagram.extracting(header.payload), as: payloadType, stamp,
        marker: header.marker || stamp.isNewTalk && sink.kind == .audio, sink, to: destination)
      return true
    case .law(let shape):
      if link.law == nil { link.law = LawTable(from: shape.from, to: shape.to) }
      sink.timeline.setClock(shape.toClock)
      return link.law?.turn(datagram, header.payload) { payload in
        guard
          let stamp = sink.timeline.relay(
            from: stream.feeder, sequence: header.sequence, timestamp: header.timestamp, at: now)
        else { return }
        send(
          payload, as: shape.payloadType, stamp, marker: header.marker || stamp.isNewTalk, sink,
          to: destination)
      } ?? false
    case .transcode(let shape):
      guard let path = path(link, shape) else { return true }
      let isTaken = path.receive(datagram, header, at: now)
      armPaths(stream)
      return isTaken
    }
  }

  private func path(_ link: Link, _ shape: VoiceShape) -> VoicePath? {
    if let made = link.path, made.shape == shape { return made }
    guard hasLibraries(shape.from, shape.to) else { return nil }
    link.path = VoicePath(shape, feeder: newFeeder())
    return link.path
  }

  /// Sets the timer to the first packet that one of the stream's paths has to make.
  private func armPaths(_ stream: Stream) {
    var first: Instant?
    for link in stream.links { first = .earlier(first, link.path?.nextFrame) }
    guard let first else { return }
    if let timer = stream.pathTimer {
      guard let due = stream.pathDue, first < due else { return }
      wheel.cancel(timer)
    }
    stream.pathTimer = arm(.path, stream, at: first)
    stream.pathDue = first
  }

  /// Packets of transcoded sound are due.
  func makePackets(_ stream: Stream) {
    let now = world.now
    for link in stream.links {
      guard let path = link.path, let due = path.nextFrame, due <= now else { continue }
      let sink = link.sink
      let destination = sink.isListening && !sink.isGenerating ? sink.destination : nil
      path.frame(at: now, isWanted: destination != nil) { payload, sequence, timestamp, isNewTalk in
        guard let destination else { return }
        sink.timeline.setClock(path.shape.toClock)
        guard
          let stamp = sink.timeline.relay(
            from: path.feeder, sequence: sequence, timestamp: timestamp, at: now)
        else { return }
        send(
          payload, as: path.shape.payloadType, stamp, marker: isNewTalk || stamp.isNewTalk, sink,
          to: destination)
      }
    }
    armPaths(stream)
  }

  private func hear(
    _ datagram: Span<UInt8>, _ header: PacketHeader, _ format: Int, _ stream: Stream, _ listener: Listener
  ) {
    guard let remote = stream.remote else { return }
    // Formats that are heard are few: the list of the far side's own numbers is not joined for each packet.
    let formats = remote.received ?? remote.formats
    guard format < formats.count, let codec = formats[format].codec.voice else { return }
    guard hasLibraries(codec) else { return }
    listener.listen(to: datagram, header.payload, as: codec)
  }

  private func receiveKey(_ datagram: Span<UInt8>, _ header: PacketHeader, _ stream: Stream, at now: Instant)
  {
    guard let event = TelephoneEvent(parsing: datagram, at: header.payload) else {
      stream.figures.malformed += 1
      return
    }
    let key = stream.keys.receive(event, timestamp: header.timestamp, marker: header.marker, at: now)
    var fate = KeyFate.consumed
    for link in stream.links {
      let sink = link.sink
      guard link.keys == .translate, Key(code: event.code) != nil else {
        sink.timeline.skip(from: stream.feeder, sequence: header.sequence)
        continue
      }
      guard let payloadType = sink.telephoneEvent, sink.timeline.clockRate == 8000 else {
        sink.timeline.skip(from: stream.feeder, sequence: header.sequence)
        fate = .undeliverable
        continue
      }
      fate = .forwarded
      if link.path != nil {
        // The sound beside it is of our making, and so is the key.
        if let key { press(key, on: sink) }
        continue
      }
      guard sink.isListening, let destination = sink.destination, !sink.isGenerating,
        let stamp = sink.timeline.relay(
          from: stream.feeder, sequence: header.sequence, timestamp: header.timestamp, at: now)
      else { continue }
      let payload = event.bytes
      send(payload.span, as: payloadType, stamp, marker: header.marker, sink, to: destination)
    }
    if let key { tell(.key(stream.leg, key.character, fate)) }
  }

  private func send(
    _ payload: Span<UInt8>, as payloadType: UInt8, _ stamp: Stamp, marker: Bool, _ sink: Stream,
    to destination: Endpoint
  ) {
    let head = PacketHeader(
      payloadType: payloadType, sequence: stamp.sequence, timestamp: stamp.timestamp,
      ssrc: sink.timeline.ssrc, marker: marker
    ).bytes
    sink.timeline.sent(payload: payload.count)
    switch sink.carrier {
    case .ports(let pair): world.send(head.span, payload, on: pair.rtp, to: destination, from: sink.source)
    case .peer(let peer):
      sink.history?.store(stamp.sequence, head.span, payload, at: world.now)
      send(head.span, payload, by: peer)
    case nil: break
    }
  }

  // MARK: Our own sounds

  func startFrames(_ stream: Stream) {
    guard stream.nextFrame == nil else { return }
    stream.nextFrame = world.now
    stream.frameTimer = arm(.frame, stream, at: world.now)
  }

  /// One frame of 20 ms is due.
  func frame(_ stream: Stream) {
    guard let due = stream.nextFrame else { return }
    let now = world.now
    let isGoing = stream.keySender.isIdle ? playFrame(stream, at: now) : keyFrame(stream, at: now)
    guard isGoing else {
      stream.nextFrame = nil
      return
    }
    // By the frame's own clock, so that timers' grain does not add up; after a standstill from now.
    let next = due + .milliseconds(20)
    let following = next < now - .milliseconds(100) ? now : next
    stream.nextFrame = following
    stream.frameTimer = arm(.frame, stream, at: following)
  }

  private func playFrame(_ stream: Stream, at now: Instant) -> Bool {
    guard stream.player != nil else { return false }
    guard stream.player?.fill(&samples) == true else {
      if let prompt = stream.player?.prompt { tell(.promptEnded(stream.leg, prompt)) }
      stream.player = nil
      return false
    }
    guard stream.isListening, let destination = stream.destination, let encoder = encoder(stream) else {
      return true
    }
    let sound = samples
    let length = encoder.coder.encode(sound.span, count: Player.frame)
    guard length > 0 else { return true }
    let bytes = encoder.coder.bytes
    let stamp = stream.timeline.generate(ticks: encoder.ticks, at: now)
    send(
      bytes.span.extracting(0..<length), as: encoder.payloadType, stamp, marker: stamp.isNewTalk, stream,
      to: destination)
    return true
  }

  private func encoder(_ stream: Stream) -> Encoder? {
    if let made = stream.encoder { return made }
    guard let voice = stream.voice else { return nil }
    guard hasLibraries(voice.codec) else { return nil }
    stream.timeline.setClock(voice.format.clockRate)
    stream.encoder = Encoder(voice.codec, voice.format)
    return stream.encoder
  }

  private func keyFrame(_ stream: Stream, at now: Instant) -> Bool {
    switch stream.keySender.next() {
    case .finished: break
    case .rest(let ticks): stream.timeline.pass(ticks: ticks)
    case .event(let event, let isFirst):
      guard stream.isListening, let destination = stream.destination,
        let payloadType = stream.telephoneEvent
      else { break }
      let stamp = stream.timeline.generate(ticks: 0, at: now)
      let payload = event.bytes
      send(payload.span, as: payloadType, stamp, marker: isFirst, stream, to: destination)
    }
    if stream.keySender.isIdle { tell(.keysSent(stream.leg)) }
    return true
  }
}
