// The voice codecs that are turned into one another: G.711 in both laws, G.722 and Opus.
//
// Responsible for: bytes to samples and back, at 8 kHz, or at 16 kHz where a codec carries that; what stands in for
// a packet that never came. Assumes packets in their order, each handed in once: `RTP.JitterBuffer` sees to that.
// Who needs what is `MediaPlane`'s business.

/// How often the samples between two coders are taken.
package enum SampleRate: Int, Hashable, Sendable {
  case narrow = 8000
  case wide = 16_000

  /// Samples of so many milliseconds.
  package func samples(milliseconds: Int) -> Int { rawValue / 1000 * milliseconds }
}

/// What the machine has to have for a codec.
package enum VoiceLibrary: Int, Hashable, Sendable, CaseIterable {
  /// For G.722.
  case avcodec
  case opus

  /// Opens it. False when this machine has none that fits. May take as long as a slow disk: a worker's job.
  @discardableResult package func prepare() -> Bool {
    switch self {
    case .avcodec: G722Library.prepare()
    case .opus: OpusLibrary.prepare()
    }
  }
}

/// A codec that we can decode and encode.
package enum VoiceCodec: UInt8, Hashable, Sendable, CaseIterable {
  case pcma, pcmu, g722, opus

  /// The longest packet in milliseconds.
  package static let longestPacket = 120
  /// The longest packet of G.711 and G.722: at their RTP clock of 8000 each tick is a byte.
  package static let maximumTicks = 960
  /// The machine's library that is wanted; nil for our own code.
  package var library: VoiceLibrary? {
    switch self {
    case .pcma, .pcmu: nil
    case .g722: .avcodec
    case .opus: .opus
    }
  }
  /// Of the RTP timestamps (RFC 3551 section 4.5.2, RFC 7587 section 4.1).
  package var clockRate: Int { self == .opus ? 48_000 : 8000 }
  /// Whether it carries more than 8 kHz.
  package var isWide: Bool { self == .g722 || self == .opus }
  /// Whether a byte of one law becomes a byte of the other, without coders.
  package func isLaw(of other: VoiceCodec) -> Bool {
    (self == .pcma && other == .pcmu) || (self == .pcmu && other == .pcma)
  }
  /// The rate at which two codecs meet: the widest that both carry.
  package func rate(with other: VoiceCodec) -> SampleRate { isWide && other.isWide ? .wide : .narrow }

  /// How many ticks of `clockRate` a payload stands for; nil for what no packet can be.
  package func ticks(of payload: Span<UInt8>) -> Int? {
    if self == .opus { return OpusPayload.ticks(payload) }
    return payload.isEmpty || payload.count > VoiceCodec.maximumTicks ? nil : payload.count
  }
}

/// Bytes of one stream to samples.
package struct VoiceDecoder: ~Copyable {
  package let codec: VoiceCodec
  package let rate: SampleRate
  private let table: [Int16]
  private var wide: G722Decoder?
  private var opus: OpusDecoder?
  private var down = Downsampler(limit: 2 * VoiceCodec.maximumTicks)
  private var wideSamples: [Int16] = []
  private var concealment: Concealment
  /// What the last step made; only the first so many of it as that step said.
  package private(set) var samples: [Int16]

  /// Nil when the codec's library is missing, or when it does not carry that rate.
  package init?(_ codec: VoiceCodec, rate: SampleRate = .narrow) {
    guard rate == .narrow || codec.isWide else { return nil }
    switch codec {
    case .pcma: self.init(codec, rate, G711.table(G711.linear(fromA:)), nil, nil)
    case .pcmu: self.init(codec, rate, G711.table(G711.linear(fromMu:)), nil, nil)
    case .g722:
      guard let wide = G722Decoder() else { return nil }
      self.init(codec, rate, [], wide, nil)
    case .opus:
      guard let opus = OpusDecoder(rate: rate) else { return nil }
      self.init(codec, rate, [], nil, opus)
    }
  }

  private init(
    _ codec: VoiceCodec, _ rate: SampleRate, _ table: [Int16], _ wide: consuming G722Decoder?,
    _ opus: consuming OpusDecoder?
  ) {
    self.codec = codec
    self.rate = rate
    self.table = table
    self.wide = wide
    self.opus = opus
    concealment = Concealment(rate: rate)
    samples = Array(repeating: 0, count: rate.samples(milliseconds: VoiceCodec.longestPacket))
    if codec == .g722, rate == .narrow {
      wideSamples = Array(repeating: 0, count: 2 * VoiceCodec.maximumTicks)
    }
  }

  /// Decodes `packet[payload]` into `samples`. How many there are: 0 for what cannot be decoded.
  package mutating func decode(_ packet: Span<UInt8>, _ payload: Range<Int>) -> Int {
    guard !payload.isEmpty, payload.upperBound <= packet.count else { return 0 }
    guard codec == .opus || payload.count <= VoiceCodec.maximumTicks else { return 0 }
    let count: Int
    switch codec {
    case .pcma, .pcmu:
      var place = 0
      for index in payload {
        samples[place] = table[Int(packet[index])]
        place += 1
      }
      count = place
    case .g722:
      if rate == .wide {
        count = wide?.decode(packet.extracting(payload), into: &samples) ?? 0
      } else {
        guard let made = wide?.decode(packet.extracting(payload), into: &wideSamples) else { return 0 }
        down.process(wideSamples, count: made, into: &samples)
        count = made / 2
      }
    case .opus: return opus?.decode(packet.extracting(payload), into: &samples) ?? 0
    }
    concealment.heard(&samples, count: count)
    return count
  }

  /// Makes `count` samples for a packet that did not come: whole steps of 10 ms, at most 120 ms. Sound dies away
  /// within 60 ms.
  package mutating func conceal(count: Int) -> Int {
    let count = min(count, samples.count)
    guard count > 0 else { return 0 }
    if codec == .opus, let made = opus?.conceal(count: count, into: &samples) { return made }
    concealment.fill(&samples, count: count)
    return count
  }

  /// Whether a packet may hold a copy of the one before it.
  package var canRecover: Bool { codec == .opus }

  /// Makes `count` samples for a packet that did not come, out of the one that followed it.
  package mutating func recover(from packet: Span<UInt8>, _ payload: Range<Int>, count: Int) -> Int {
    let count = min(count, samples.count)
    guard codec == .opus, !payload.isEmpty, payload.upperBound <= packet.count,
      let made = opus?.recover(packet.extracting(payload), count: count, into: &samples)
    else { return conceal(count: count) }
    return made
  }
}

/// Samples to bytes of one stream.
package struct VoiceEncoder: ~Copyable {
  package let codec: VoiceCodec
  package let rate: SampleRate
  private var wide: G722Encoder?
  private var opus: OpusEncoder?
  private var up = Upsampler(limit: VoiceCodec.maximumTicks)
  private var wideSamples: [Int16] = []
  /// The last packet's payload; only the first so many of it as `encode` said.
  package private(set) var bytes: [UInt8]

  /// Nil when the codec's library is missing, or when it does not carry that rate. `settings` are Opus's.
  package init?(_ codec: VoiceCodec, rate: SampleRate = .narrow, _ settings: OpusSettings = .speech) {
    guard rate == .narrow || codec.isWide else { return nil }
    switch codec {
    case .pcma, .pcmu: self.init(codec, rate, nil, nil)
    case .g722:
      guard let wide = G722Encoder() else { return nil }
      self.init(codec, rate, wide, nil)
    case .opus:
      guard let opus = OpusEncoder(rate: rate, settings) else { return nil }
      self.init(codec, rate, nil, opus)
    }
  }

  private init(
    _ codec: VoiceCodec, _ rate: SampleRate, _ wide: consuming G722Encoder?, _ opus: consuming OpusEncoder?
  ) {
    self.codec = codec
    self.rate = rate
    self.wide = wide
    self.opus = opus
    let longest = codec == .opus ? OpusEncoder.maximumBytes : VoiceCodec.maximumTicks
    bytes = Array(repeating: 0, count: longest)
    if codec == .g722 { wideSamples = Array(repeating: 0, count: 2 * VoiceCodec.maximumTicks) }
  }

  /// Encodes `samples[0 ..< count]` into `bytes`. How many there are; 0 for more than a packet holds, for G.722 in
  /// anything but whole steps of 10 ms, and for Opus in anything but 10, 20, 40 or 60 ms.
  package mutating func encode(_ samples: Span<Int16>, count: Int) -> Int {
    guard count > 0, count <= samples.count,
      count <= rate.samples(milliseconds: VoiceCodec.longestPacket)
    else { return 0 }
    switch codec {
    case .pcma:
      for index in 0..<count { bytes[index] = G711.a(from: samples[index]) }
      return count
    case .pcmu:
      for index in 0..<count { bytes[index] = G711.mu(from: samples[index]) }
      return count
    case .g722:
      if rate == .wide {
        for index in 0..<count { wideSamples[index] = samples[index] }
        return wide?.encode(wideSamples, count: count, into: &bytes) ?? 0
      }
      up.process(samples, count: count, into: &wideSamples)
      return wide?.encode(wideSamples, count: 2 * count, into: &bytes) ?? 0
    case .opus: return opus?.encode(samples, count: count, into: &bytes) ?? 0
    }
  }

  /// How many packets of a hundred the peer says are lost on the way to it.
  package mutating func expectLoss(percent: Int) { opus?.expectLoss(percent: percent) }
}

/// Turns one law of G.711 into the other, byte by byte.
package struct LawTable: Sendable {
  private let table: [UInt8]
  private var bytes = [UInt8](repeating: 0, count: VoiceCodec.maximumTicks)

  /// From A-law to µ-law, or the other way; nil for anything else.
  package init?(from: VoiceCodec, to: VoiceCodec) {
    switch (from, to) {
    case (.pcma, .pcmu): table = (0...255).map { G711.mu(from: G711.linear(fromA: UInt8($0))) }
    case (.pcmu, .pcma): table = (0...255).map { G711.a(from: G711.linear(fromMu: UInt8($0))) }
    default: return nil
    }
  }

  /// Lends the other law's bytes of `packet[payload]` to `body`; false for an empty or too long payload.
  package mutating func turn(
    _ packet: Span<UInt8>, _ payload: Range<Int>, _ body: (Span<UInt8>) -> Void
  ) -> Bool {
    guard !payload.isEmpty, payload.count <= bytes.count, payload.upperBound <= packet.count else {
      return false
    }
    var place = 0
    for index in payload {
      bytes[place] = table[Int(packet[index])]
      place += 1
    }
    body(bytes.span.extracting(0..<place))
    return true
  }
}
