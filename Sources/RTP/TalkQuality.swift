// How good a talk was, in one number: the E-model of ITU-T G.107, with everything at its default but what a network
// changes, delay and loss.
//
// Responsible for: the arithmetic. Assumes random loss, a listener without echo, and codecs whose robustness is known.

package import Wire

/// What a codec does to speech (ITU-T G.113 appendix I).
package struct Equipment: Hashable, Sendable {
  /// Impairment without loss (Ie).
  package var impairment: Double
  /// How well loss is borne (Bpl): this many percent take half of what is left.
  package var robustness: Double

  package init(impairment: Double, robustness: Double) {
    self.impairment = impairment
    self.robustness = robustness
  }

  /// G.711 with concealment.
  package static let g711 = Equipment(impairment: 0, robustness: 25.1)
  /// G.722 and Opus have no figures on this scale, which ends at the telephone's band: they are taken for G.711,
  /// which they are not worse than.
  package static let wide = g711
}

package enum TalkQuality {
  /// The transmission rating R, 0 to 93.2. `delay` is mouth to ear; `loss` in percent of what was sent.
  package static func rating(delay: Interval, loss: Double, _ equipment: Equipment) -> Double {
    let milliseconds = Double(max(0, delay.nanoseconds)) / 1e6
    let late = milliseconds > 177.3 ? 0.11 * (milliseconds - 177.3) : 0
    let loss = max(0, min(100, loss))
    let impairment =
      equipment.impairment + (95 - equipment.impairment) * loss / (loss + equipment.robustness)
    return max(0, min(93.2, 93.2 - 0.024 * milliseconds - late - impairment))
  }

  /// The mean opinion score that a rating stands for, 1 to 4.41 (G.107 annex B).
  package static func opinion(rating: Double) -> Double {
    guard rating > 0 else { return 1 }
    // Between 0 and 6.5 the polynomial dips below 1.
    return max(1, 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6)
  }
}
