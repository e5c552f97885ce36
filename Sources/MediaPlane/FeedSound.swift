// The sound of a feed: packets numbered here, handed to every viewer's leg as one leg's sound is handed to another, and
// turned into another codec where the viewer has not the camera's.

internal import Codecs
internal import RTP
internal import Wire

final class FeedSound {
  let stream: Stream
  let codec: Codec
  var sequence: UInt16 = 0
  var timestamp: UInt32 = 0
  var last: Instant?

  init(_ stream: Stream, _ codec: Codec) {
    self.stream = stream
    self.codec = codec
  }
}

extension Plane {
  /// Hands sound to everybody who looks and may listen: `samples` long on the codec's clock, its first sample right
  /// behind those before unless it comes much later.
  package func pushSound(_ payload: [UInt8], samples: Int, codec: Codec, into id: FeedID) {
    guard let feed = feed(id), !payload.isEmpty, payload.count <= 1400, samples > 0 else { return }
    let sound = sound(of: feed, codec)
    let now = world.now
    let clock = sound.stream.reception.clockRate
    // A pause is no gap: the clock ran on.
    if let last = sound.last, now - last > .milliseconds(500) {
      sound.timestamp &+= (now - last).ticks(at: clock)
    }
    sound.last = now
    let head = PacketHeader(
      payloadType: FeedSound.payloadType, sequence: sound.sequence, timestamp: sound.timestamp, ssrc: 0)
    sound.sequence &+= 1
    sound.timestamp &+= UInt32(truncatingIfNeeded: samples)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(12 + payload.count)
    let words = head.bytes
    for index in words.indices { bytes.append(words[index]) }
    bytes += payload
    guard let read = try? PacketHeader(parsing: bytes.span) else { return }
    for link in sound.stream.links {
      _ = forward(bytes.span, read, sound.stream, link, at: now)
    }
  }

  private func sound(of feed: Feed, _ codec: Codec) -> FeedSound {
    if let sound = feed.sound, sound.codec == codec { return sound }
    if let old = feed.sound { part(old) }
    let stream = makeStream(.audio, nil, isBoundToAll: false)
    streams[stream.index] = stream
    let clock = UInt32(codec.voice?.clockRate ?? 8000)
    _ = stream.setRemote(
      RemoteStream(
        rtp: Stream.bundled, signalledFrom: .anyV4,
        formats: [StreamFormat(payloadType: FeedSound.payloadType, codec: codec, clockRate: clock)]))
    stream.count(at: clock)
    nameFeeder(stream)
    let sound = FeedSound(stream, codec)
    feed.sound = sound
    for viewer in feed.viewers { join(sound, viewer.peer.audio) }
    return sound
  }

  /// A viewer hears it, unless it hears somebody already.
  func join(_ sound: FeedSound, _ sink: Stream) {
    guard sink.heardFrom == nil else { return }
    link(sound.stream, sink, .consume)
  }

  func part(_ sound: FeedSound, _ sink: Stream) {
    sound.stream.links.removeAll { $0.sink === sink }
    if sink.heardFrom === sound.stream { sink.heardFrom = nil }
  }

  /// Nobody hears it any more.
  func part(_ sound: FeedSound) {
    for link in sound.stream.links where link.sink.heardFrom === sound.stream { link.sink.heardFrom = nil }
    sound.stream.links.removeAll()
    if let timer = sound.stream.pathTimer { wheel.cancel(timer) }
    forget(sound.stream)
  }
}

extension FeedSound {
  /// On no wire.
  static let payloadType: UInt8 = 96
}
