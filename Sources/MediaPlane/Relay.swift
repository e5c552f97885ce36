// The path of a media packet: may it speak, what does it mean, where does it go; and the frames of our own sounds.

internal import Codecs
internal import RTP
internal import Wire

extension MediaPlane {
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
    let header: PacketHeader
    do {
      header = try PacketHeader(parsing: datagram)
    } catch {
      stream.figures.malformed += 1
      return
    }
    guard stream.isNegotiated, stream.pinned == nil || header.ssrc == stream.pinnedSource else {
      stream.figures.foreign += 1
      return
    }
    let meaning = stream.meanings[Int(header.payloadType)]
    if case .unknown = meaning {
      stream.figures.unmapped += 1
      return
    }
    let now = world.now
    if stream.pinned == nil { pin(stream, remote, header.ssrc, local) }
    stream.figures.packetsIn += 1
    stream.figures.bytesIn += UInt64(header.payload.count)
    stream.reception.receive(sequence: header.sequence, timestamp: header.timestamp, at: now)
    stream.lastPacket = now
    if stream.isSilent { resume(stream) }
    guard stream.mayPeerSend else {
      stream.figures.held += 1
      return
    }
    switch meaning {
    case .unknown: break
    case .key: receiveKey(datagram, header, stream, at: now)
    case .media(let format):
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
    tell(.firstPacket(stream.leg, stream.kind))
    if stream.kind == .video, !stream.links.isEmpty { requestKeyFrame(stream, fullIntra: false) }
  }

  /// Hands a packet on. False when the other side cannot have it; a listener that is held, or hears something of
  /// ours, misses it rightly.
  private func forward(
    _ datagram: Span<UInt8>, _ header: PacketHeader, _ stream: Stream, _ link: Link, at now: Instant
  ) -> Bool {
    let sink = link.sink
    guard sink.isListening, let destination = sink.destination, !sink.isGenerating else { return true }
    switch link.routes[Int(header.payloadType)] {
    case .drop:
      // Nothing came of it, so nothing is missing.
      sink.timeline.skip(from: stream.feeder, sequence: header.sequence)
      return false
    case .relay(let payloadType):
      guard
        let stamp = sink.timeline.relay(
          from: stream.feeder, sequence: header.sequence, timestamp: header.timestamp, at: now)
      else { return true }
      send(
        datagram.extracting(header.payload), as: payloadType, stamp,
        marker: header.marker || stamp.isNewTalk && sink.kind == .audio, sink, to: destination)
      return true
    case .transcode(let from, let to, let payloadType):
      guard let transcoder = transcoder(link, from, to) else { return true }
      return transcoder.transcode(datagram, header.payload) { payload in
        guard
          let stamp = sink.timeline.relay(
            from: stream.feeder, sequence: header.sequence, timestamp: header.timestamp, at: now)
        else { return }
        send(
          payload, as: payloadType, stamp, marker: header.marker || stamp.isNewTalk, sink, to: destination)
      }
    }
  }

  private func transcoder(_ link: Link, _ from: VoiceCodec, _ to: VoiceCodec) -> Transcoder? {
    if let made = link.transcoders[Int(from.rawValue)] { return made }
    if from.needsLibrary || to.needsLibrary, !hasLibrary() {
      return nil
    }
    let made = Transcoder(from: from, to: to)
    link.transcoders[Int(from.rawValue)] = made
    return made
  }

  private func hear(
    _ datagram: Span<UInt8>, _ header: PacketHeader, _ format: Int, _ stream: Stream, _ listener: Listener
  ) {
    guard let remote = stream.remote else { return }
    // Formats that are heard are few: the list of the far side's own numbers is not joined for each packet.
    let formats = remote.received ?? remote.formats
    guard format < formats.count, let codec = formats[format].codec.voice else { return }
    if codec.needsLibrary, !hasLibrary() {
      return
    }
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
    world.send(head.span, payload, on: sink.pair.rtp, to: destination, from: sink.source)
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
    let stamp = stream.timeline.generate(ticks: UInt32(Player.frame), at: now)
    send(
      bytes.span.extracting(0..<length), as: encoder.payloadType, stamp, marker: stamp.isNewTalk, stream,
      to: destination)
    return true
  }

  private func encoder(_ stream: Stream) -> Encoder? {
    if let made = stream.encoder { return made }
    guard let voice = stream.voice else { return nil }
    if voice.codec.needsLibrary, !hasLibrary() {
      return nil
    }
    stream.encoder = Encoder(voice.codec, payloadType: voice.payloadType)
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
