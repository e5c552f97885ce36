// How much of a core transcoding may take: measured on this machine, so that a small computer refuses the call that
// it could not carry instead of letting every call stutter.
//
// Responsible for: what each codec costs, and whether one more bridge fits. Each codec is measured when its library is
// first opened, on the worker that opened it, by coding sound of ours; until then nothing is refused.
// Assumes that the world's time passes while a worker works.

internal import Codecs
internal import Wire

struct TranscodingBudget {
  /// What a codec costs: nanoseconds of a core for a second of sound.
  struct Cost: Equatable {
    var decoding: Int64 = 0
    var encoding: Int64 = 0
  }
  private enum Step: Hashable { case decoding, encoding }

  /// Of a core.
  let share: Double
  private(set) var costs = [Cost?](repeating: nil, count: VoiceCodec.allCases.count)
  /// Bridges that did not fit.
  private(set) var refused: UInt64 = 0

  init(share: Double) { self.share = share }

  /// What one direction costs; nothing while it is not measured.
  func cost(_ shape: VoiceShape) -> Int64 {
    guard !shape.isLaw else { return 0 }
    return (costs[Int(shape.from.rawValue)]?.decoding ?? 0) + (costs[Int(shape.to.rawValue)]?.encoding ?? 0)
  }

  mutating func set(_ cost: Cost, for codec: VoiceCodec) { costs[Int(codec.rawValue)] = cost }

  /// Whether `more` fits beside what runs; counts it when not.
  mutating func affords(_ more: Int64, beside running: Int64) -> Bool {
    guard more > 0, Double(running + more) > share * 1e9 else { return true }
    refused += 1
    return false
  }
}

extension Plane {
  /// Rounds of a measurement: the fastest counts, the others were disturbed.
  private static let rounds = 3
  /// Frames of 20 ms in a round.
  private static let frames = 25

  /// Measures a codec whose library has just been opened.
  func measure(_ codec: VoiceCodec) {
    time({ Plane.exercise(codec, decodes: false) }) { [weak self] encoding in
      self?.time({ Plane.exercise(codec, decodes: true) }) { both in
        let whole = Int64(1_000_000_000 / (20_000_000 * Plane.frames))
        self?.budget.set(
          TranscodingBudget.Cost(
            decoding: max(0, both.nanoseconds - encoding.nanoseconds) * whole,
            encoding: encoding.nanoseconds * whole), for: codec)
      }
    }
  }

  /// How long a worker takes for `work`: the shortest of some rounds. The first goes by untimed: it only brings us to
  /// a moment at which the worker is free.
  private func time(
    _ work: @escaping @Sendable () -> Bool, round: Int = 0, best: Interval? = nil,
    then: @escaping (Interval) -> Void
  ) {
    let start = world.now
    world.perform(
      on: .general, work,
      then: { [weak self] _ in
        guard let self else { return }
        let took = world.now - start
        let shortest = round == 0 ? nil : best.map { min($0, took) } ?? took
        if let shortest, round == Plane.rounds { return then(shortest) }
        time(work, round: round + 1, best: shortest, then: then)
      })
  }

  /// Codes half a second of a sound that is never silent; true when the coders did it.
  private static func exercise(_ codec: VoiceCodec, decodes: Bool) -> Bool {
    guard var encoder = VoiceEncoder(codec, rate: codec.isWide ? .wide : .narrow),
      var decoder = VoiceDecoder(codec, rate: encoder.rate)
    else { return false }
    let count = encoder.rate.samples(milliseconds: 20)
    var sound = [Int16](repeating: 0, count: count)
    var oscillator = Oscillator()
    var isGood = true
    for frame in 0..<frames {
      for index in sound.indices { sound[index] = 0 }
      oscillator.add(Double(150 + 40 * (frame % 10)), level: -16, into: &sound, count: count)
      let length = encoder.encode(sound.span, count: count)
      guard decodes else {
        isGood = isGood && length > 0
        continue
      }
      let bytes = encoder.bytes
      isGood = isGood && decoder.decode(bytes.span, 0..<length) == count
    }
    return isGood
  }

  /// What the paths that stand cost: nanoseconds of a core for each second.
  var transcodingLoad: Int64 {
    var load: Int64 = 0
    for case let stream? in streams {
      for link in stream.links { if let path = link.path { load += budget.cost(path.shape) } }
    }
    return load
  }

  /// Whether the machine can carry a bridge between two peers: what transcoding it asks for fits into
  /// `MediaConfiguration.transcodingShare` of a core beside what runs. One that does not fit is counted; its call gets
  /// 503.
  package func affords(_ first: RemoteStream, _ second: RemoteStream) -> Bool {
    var more: Int64 = 0
    for (source, sink) in [(first, second), (second, first)] {
      guard let format = (source.received ?? source.formats).first(where: { !$0.codec.mayHideKeys }) else {
        continue
      }
      if case .transcode(let shape) = Route(format, to: sink) { more += budget.cost(shape) }
    }
    return budget.affords(more, beside: transcodingLoad)
  }
}
