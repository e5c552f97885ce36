// The three voice codecs that are turned into one another. All of them run on an RTP clock of 8000 and carry one
// byte per tick, so a packet of one becomes a packet of another with equal length and timestamp.
//
// Responsible for: bytes to samples and back, always by way of 8 kHz. Assumes packets in the order of arrival; a
// lost one is not concealed. Who needs what is `MediaPlane`'s business.

/// A codec that we can decode and encode.
package enum VoiceCodec: UInt8, Hashable, Sendable, CaseIterable {
  case pcma, pcmu, g722

  /// The longest packet in ticks of 1/8000 s, which are bytes too: 120 ms.
  package static let maximumTicks = 960
  /// Whether the machine's library is wanted.
  package var needsLibrary: Bool { self == .g722 }
}

/// Bytes of one stream to samples at 8 kHz.
package struct VoiceDecoder: ~Copyable {
  package let codec: VoiceCodec
  private let table: [Int16]
  private var wide: G722Decoder?
  private var down = Downsampler(limit: 2 * VoiceCodec.maximumTicks)
  private var wideSamples: [Int16] = []
  /// What the last packet held; only the first so many of it as `decode` said.
  package private(set) var samples = [Int16](repeating: 0, count: VoiceCodec.maximumTicks)

  /// Nil when the codec's library is missing.
  package init?(_ codec: VoiceCodec) {
    self.codec = codec
    switch codec {
    case .pcma: table = G711.table(G711.linear(fromA:))
    case .pcmu: table = G711.table(G711.linear(fromMu:))
    case .g722:
      table = []
      guard let decoder = G722Decoder() else { return nil }
      wide = consume decoder
      wideSamples = Array(repeating: 0, count: 2 * VoiceCodec.maximumTicks)
    }
  }

  /// Decodes `packet[payload]` into `samples`. How many there are: 0 for an empty or too long payload.
  package mutating func decode(_ packet: Span<UInt8>, _ payload: Range<Int>) -> Int {
    guard !payload.isEmpty, payload.count <= VoiceCodec.maximumTicks else { return 0 }
    switch codec {
    case .pcma, .pcmu:
      var place = 0
      for index in payload {
        samples[place] = table[Int(packet[index])]
        place += 1
      }
      return place
    case .g722:
      guard let count = wide?.decode(packet.extracting(payload), into: &wideSamples) else { return 0 }
      down.process(wideSamples, count: count, into: &samples)
      return count / 2
    }
  }
}

/// Samples at 8 kHz to bytes of one stream.
package struct VoiceEncoder: ~Copyable {
  package let codec: VoiceCodec
  private var wide: G722Encoder?
  private var up = Upsampler(limit: VoiceCodec.maximumTicks)
  private var wideSamples: [Int16] = []
  /// The last packet's payload; only the first so many of it as `encode` said.
  package private(set) var bytes = [UInt8](repeating: 0, count: VoiceCodec.maximumTicks)

  /// Nil when the codec's library is missing.
  package init?(_ codec: VoiceCodec) {
    self.codec = codec
    guard codec == .g722 else { return }
    guard let encoder = G722Encoder() else { return nil }
    wide = consume encoder
    wideSamples = Array(repeating: 0, count: 2 * VoiceCodec.maximumTicks)
  }

  /// Encodes `samples[0 ..< count]` into `bytes`. How many there are: `count`, or 0 when G.722 is given anything but
  /// whole steps of 10 ms, or too much.
  package mutating func encode(_ samples: Span<Int16>, count: Int) -> Int {
    guard count > 0, count <= min(samples.count, VoiceCodec.maximumTicks) else { return 0 }
    switch codec {
    case .pcma:
      for index in 0..<count { bytes[index] = G711.a(from: samples[index]) }
      return count
    case .pcmu:
      for index in 0..<count { bytes[index] = G711.mu(from: samples[index]) }
      return count
    case .g722:
      up.process(samples, count: count, into: &wideSamples)
      return wide?.encode(wideSamples, count: 2 * count, into: &bytes) ?? 0
    }
  }
}

/// One direction of a bridge between two codecs.
package final class Transcoder {
  private var decoder: VoiceDecoder
  private var encoder: VoiceEncoder
  /// Between the two laws of G.711 a byte becomes a byte.
  private let direct: [UInt8]
  private var directBytes: [UInt8] = []

  /// Nil when a codec's library is missing.
  package init?(from: VoiceCodec, to: VoiceCodec) {
    guard let decoder = VoiceDecoder(from), let encoder = VoiceEncoder(to) else { return nil }
    self.decoder = consume decoder
    self.encoder = consume encoder
    switch (from, to) {
    case (.pcma, .pcmu): direct = (0...255).map { G711.mu(from: G711.linear(fromA: UInt8($0))) }
    case (.pcmu, .pcma): direct = (0...255).map { G711.a(from: G711.linear(fromMu: UInt8($0))) }
    default: direct = []
    }
    if !direct.isEmpty { directBytes = Array(repeating: 0, count: VoiceCodec.maximumTicks) }
  }

  /// Lends the other codec's payload of `packet[payload]` to `body`; false when it cannot be turned.
  package func transcode(
    _ packet: Span<UInt8>, _ payload: Range<Int>, _ body: (Span<UInt8>) -> Void
  ) -> Bool {
    if !direct.isEmpty {
      guard !payload.isEmpty, payload.count <= directBytes.count else { return false }
      Transcoder.map(packet.extracting(payload), by: direct, into: &directBytes)
      let bytes = directBytes
      body(bytes.span.extracting(0..<payload.count))
      return true
    }
    let count = decoder.decode(packet, payload)
    guard count > 0 else { return false }
    let samples = decoder.samples
    let length = encoder.encode(samples.span, count: count)
    guard length > 0 else { return false }
    let bytes = encoder.bytes
    body(bytes.span.extracting(0..<length))
    return true
  }

  private static func map(_ payload: Span<UInt8>, by table: [UInt8], into bytes: inout [UInt8]) {
    for index in payload.indices { bytes[index] = table[Int(payload[index])] }
  }
}
