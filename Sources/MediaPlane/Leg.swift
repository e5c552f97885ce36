// The words in which calls speak of media: legs, what the far side negotiated, what happened.

internal import Codecs
package import RTP
package import Wire

/// Names one leg of a call: our ports towards one peer.
package struct LegID: Hashable, Sendable {
  package let handle: Handle

  package init(_ handle: Handle) { self.handle = handle }

  package static let none = LegID(.none)
}

package enum MediaKind: UInt8, Hashable, Sendable { case audio, video }

/// What a payload type stands for. Telephone events are no codec: `RemoteStream.telephoneEvent`.
package enum Codec: Hashable, Sendable {
  case pcma, pcmu, g722
  /// Anything that is passed through between two legs that both know it, such as `H264`. `opus` is passed through
  /// likewise, and turned into the others where only one of them knows it.
  case other(name: String, fmtp: String)

  var voice: VoiceCodec? {
    switch self {
    case .pcma: .pcma
    case .pcmu: .pcmu
    case .g722: .g722
    case .other: isNamed("opus") ? .opus : nil
    }
  }

  /// What the peer's parameters ask of an encoder.
  var opusSettings: OpusSettings {
    guard case .other(_, let parameters) = self else { return .speech }
    return OpusSettings(parameters: parameters)
  }
}

/// One payload type of a stream.
package struct StreamFormat: Hashable, Sendable {
  package var payloadType: UInt8
  package var codec: Codec
  /// Of the RTP timestamps: 8000 for G.722 too (RFC 3551 section 4.5.2).
  package var clockRate: UInt32
  /// In milliseconds.
  package var ptime: Int

  package init(payloadType: UInt8, codec: Codec, clockRate: UInt32 = 8000, ptime: Int = 20) {
    self.payloadType = payloadType
    self.codec = codec
    self.clockRate = clockRate
    self.ptime = ptime
  }
}

/// Who may send, as the far side's SDP says it of itself.
package enum MediaDirection: Hashable, Sendable {
  case sendReceive, sendOnly, receiveOnly, inactive

  var peerSends: Bool { self == .sendReceive || self == .sendOnly }
  var peerListens: Bool { self == .sendReceive || self == .receiveOnly }
}

/// The far side of one stream, as its SDP and its signalling tell.
package struct RemoteStream: Hashable, Sendable {
  /// Address and port of its SDP. An unspecified address or port 0: nothing is sent (the old way to hold).
  package var rtp: Endpoint
  /// From `a=rtcp`; nil for the port after `rtp`.
  package var rtcp: Endpoint?
  package var rtcpMux: Bool
  /// Where its signalling came from: the only other address that its media may come from.
  package var signalledFrom: IPAddress
  /// What it takes, under its payload types, best first.
  package var formats: [StreamFormat]
  /// What it sends, under the payload types of our SDP; nil when both sides number alike.
  package var received: [StreamFormat]?
  /// Its payload type for telephone events, at a clock of 8000.
  package var telephoneEvent: UInt8?
  /// Ours, where it differs.
  package var receivedTelephoneEvent: UInt8?
  package var direction: MediaDirection

  package init(
    rtp: Endpoint, rtcp: Endpoint? = nil, rtcpMux: Bool = false, signalledFrom: IPAddress,
    formats: [StreamFormat], received: [StreamFormat]? = nil, telephoneEvent: UInt8? = nil,
    receivedTelephoneEvent: UInt8? = nil, direction: MediaDirection = .sendReceive
  ) {
    self.rtp = rtp
    self.rtcp = rtcp
    self.rtcpMux = rtcpMux
    self.signalledFrom = signalledFrom
    self.formats = formats
    self.received = received
    self.telephoneEvent = telephoneEvent
    self.receivedTelephoneEvent = receivedTelephoneEvent
    self.direction = direction
  }
}

/// What a leg wants.
package struct LegSpec: Hashable, Sendable {
  package enum Kinds: Hashable, Sendable { case audio, audioAndVideo }

  package var kinds: Kinds
  /// Our address towards this peer: bound, and handed back for the SDP.
  package var address: IPAddress

  package init(kinds: Kinds = .audio, address: IPAddress) {
    self.kinds = kinds
    self.address = address
  }
}

/// Where a leg listens. RTP ports are even, RTCP is the next.
package struct LegPorts: Hashable, Sendable {
  package let leg: LegID
  package let address: IPAddress
  package let audio: UInt16
  package let audioRTCP: UInt16
  package let video: UInt16?
  package let videoRTCP: UInt16?
}

/// Why a leg cannot be had.
package enum MediaFailure: Error, Hashable, Sendable {
  /// Every pair of the range is taken.
  case noPorts
  case network(NetworkFailure)
  /// As many legs as `MediaConfiguration.legs` allows.
  case tooManyLegs
}

/// What happens to the keys that one leg presses.
package enum KeyHandling: Hashable, Sendable {
  /// Reported, and never sent on: a resident's keys towards a station.
  case consume
  /// Reported, and sent on with the other leg's payload type where it has one.
  case translate
}

package struct KeyPolicy: Hashable, Sendable {
  package var fromA: KeyHandling
  package var fromB: KeyHandling

  package init(fromA: KeyHandling, fromB: KeyHandling) {
    self.fromA = fromA
    self.fromB = fromB
  }

  package static let consumeBoth = KeyPolicy(fromA: .consume, fromB: .consume)
  package static let translateBoth = KeyPolicy(fromA: .translate, fromB: .translate)
}

/// What became of a key.
package enum KeyFate: Hashable, Sendable {
  case consumed
  /// The other leg gets it as RFC 4733.
  case forwarded
  /// The other leg may have it but knows no telephone events: send it an INFO.
  case undeliverable
}

/// Sounds of ours.
package enum Prompt: Hashable, Sendable {
  /// Two rising tones, once.
  case opened
  /// Three low ones, once.
  case refused
  /// 425 Hz, 1.5 s of 5 s, for ever.
  case ringback
  /// A tone of so many hertz at -10 dBm0, for ever.
  case tone(hertz: Double)
  case silence
}

package enum MediaEvent: Hashable, Sendable {
  /// A key was pressed (`0` to `9`, `*`, `#`, `A` to `D`); told once per press, at its beginning.
  case key(LegID, Character, KeyFate)
  /// The first valid packet came, after the opening or after the address changed.
  case firstPacket(LegID, MediaKind)
  /// No audio for the leg's time although the peer may send. Told once, until `resumed`.
  case silent(LegID)
  case resumed(LegID)
  /// A prompt that ends came to its end.
  case promptEnded(LegID, Prompt)
  /// Every key asked for by `sendKeys` is out.
  case keysSent(LegID)
  /// The connection of a leg is gone for good: its path died, its handshake failed, or the peer closed it.
  case failed(LegID)
  /// Whoever makes a feed's pictures shall make a key picture; paced, however many ask.
  case keyFrameWanted(FeedID)
  /// What the feed's viewers can take, in bits a second; `BandwidthEstimate.most` when nothing holds them back any more.
  case rateWanted(FeedID, bitsPerSecond: Int)
  /// A picture of a leg that is tapped, from a key picture on and after each loss from the next one on.
  case picture(LegID, AccessUnit)
  /// What comes of a leg that is tapped is nothing that a browser shows.
  case unusable(LegID, CodingWatch.Verdict)
}

/// Figures of one stream since the leg was opened.
package struct StreamStatistics: Hashable, Sendable {
  package var packetsIn: UInt64 = 0
  package var bytesIn: UInt64 = 0
  package var packetsOut: UInt64 = 0
  package var bytesOut: UInt64 = 0
  /// Of those that should have come; negative when packets were repeated.
  package var lost: Int64 = 0
  package var jitter: Interval = .zero
  /// As the peer's reports tell; nil before the first.
  package var roundTrip: Interval?
  package var remoteLost: Int64?
  package var remoteJitter: Interval?
  /// From an address, port or source that may not speak here: dropped.
  package var foreign: UInt64 = 0
  /// No RTP or RTCP: dropped.
  package var malformed: UInt64 = 0
  /// Of a payload type that was not negotiated, or that the other leg cannot have: dropped.
  package var unmapped: UInt64 = 0
  /// Sent by a peer that said it would not send: dropped.
  package var held: UInt64 = 0
  /// What the jitter buffer did, where sound is transcoded.
  package var playout: PlayoutStatistics?
  /// The mean opinion score of the worse direction, 1 to 4.41 (ITU-T G.107); nil before a second of sound came, and for
  /// codecs that we do not know.
  package var opinion: Double?

  package init() {}
}

/// What became of the packets of a stream that is transcoded.
package struct PlayoutStatistics: Hashable, Sendable {
  /// How long packets wait now.
  package var target: Interval
  /// Came after their moment.
  package var late: UInt64
  /// Stood in for by sound that was made up, or by the copy in a later packet.
  package var concealed: UInt64
  /// Dropped because too many waited.
  package var dropped: UInt64
}

package struct LegStatistics: Hashable, Sendable {
  package var audio: StreamStatistics
  package var video: StreamStatistics?

  package init(audio: StreamStatistics, video: StreamStatistics?) {
    self.audio = audio
    self.video = video
  }

  /// No audio packet in either direction.
  package var isEmpty: Bool { audio.packetsIn == 0 && audio.packetsOut == 0 }
  /// Audio in one direction only.
  package var isOneWay: Bool { (audio.packetsIn == 0) != (audio.packetsOut == 0) }
  package var foreign: UInt64 { audio.foreign + (video?.foreign ?? 0) }
}

/// What a listener for a tone heard.
package struct Heard: Hashable, Sendable {
  /// Windows of 100 ms listened to, and those that held the tone.
  package var windows: Int
  package var windowsWithTone: Int
  /// Of the last window, in dBm0.
  package var level: Double
  package var toneLevel: Double
}

package struct MediaConfiguration: Sendable {
  /// Legs at once.
  package var legs: Int
  /// Without audio for so long a leg is silent; nil never. `watch` sets it for one leg.
  package var silentAfter: Interval?
  /// The mean time between reports.
  package var reportInterval: Interval
  /// The canonical name in our reports; nothing that names the building.
  package var canonicalName: String
  /// Of one core, for transcoding.
  package var transcodingShare: Double

  package init(
    legs: Int = 512, silentAfter: Interval? = .seconds(60), reportInterval: Interval = .seconds(5),
    canonicalName: String = "vestibule", transcodingShare: Double = 0.6
  ) {
    self.transcodingShare = transcodingShare
    self.legs = legs
    self.silentAfter = silentAfter
    self.reportInterval = reportInterval
    self.canonicalName = canonicalName
  }
}
