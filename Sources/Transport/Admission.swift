package import Wire

// Who may ask how often.
//
// Every request that costs us work before its sender is known draws a token from two buckets: one of its source
// address and one that all sources of its standing share. Stations whose address is provisioned, and peers that
// have authenticated, draw from buckets of their own, so a flood of strangers never starves a ring. All tables
// are fixed in size; when one is full the source that has been quiet longest is forgotten, which costs it
// nothing, for its bucket is the fullest.
//
// Pure values: the time is an argument, and what a refusal means (silence, 503 with Retry-After) is the
// caller's. Who is provisioned or authenticated is the caller's knowledge too.

/// What is asked for; each kind has buckets of its own.
package enum AdmissionKind: Int, CaseIterable, Sendable {
  case register, invite, options, http, connection, other
  /// A datagram, before anybody reads it.
  case datagram
}

/// How well a source address is known.
package enum SourceStanding: Int, CaseIterable, Sendable {
  /// Anyone.
  case stranger
  /// An account has authenticated from there and still has a binding or a session.
  case known
  /// The address of a station in the directory.
  case provisioned
}

/// A token bucket's size and pace.
package struct AdmissionRate: Sendable, Equatable {
  /// Tokens in a full bucket, at least 1.
  package var burst: Int
  /// Time until one token has come back.
  package var interval: Interval

  package init(burst: Int, interval: Interval) {
    precondition(burst >= 1 && interval > .zero, "a bucket holds a token and refills")
    self.burst = burst
    self.interval = interval
  }

  package init(burst: Int, perSecond: Int) {
    self.init(burst: burst, interval: .nanoseconds(1_000_000_000 / Int64(max(1, perSecond))))
  }
}

/// The rates of one standing: per address and for all its addresses together.
package struct AdmissionRates: Sendable {
  private var address: [AdmissionRate]
  private var together: [AdmissionRate]

  /// The same rate for every kind.
  package init(address: AdmissionRate, together: AdmissionRate) {
    self.address = Array(repeating: address, count: AdmissionKind.allCases.count)
    self.together = Array(repeating: together, count: AdmissionKind.allCases.count)
  }

  package mutating func set(_ kind: AdmissionKind, address: AdmissionRate, together: AdmissionRate) {
    self.address[kind.rawValue] = address
    self.together[kind.rawValue] = together
  }

  func address(_ kind: AdmissionKind) -> AdmissionRate { address[kind.rawValue] }
  func together(_ kind: AdmissionKind) -> AdmissionRate { together[kind.rawValue] }

  /// What strangers get: a phone that registers with two challenges and retries, from any of a few hundred
  /// addresses; a flood stops at a load that leaves most of a Raspberry Pi idle.
  package static var strangers: AdmissionRates {
    var rates = AdmissionRates(
      address: AdmissionRate(burst: 20, perSecond: 5), together: AdmissionRate(burst: 200, perSecond: 100))
    rates.set(
      .http, address: AdmissionRate(burst: 60, perSecond: 20),
      together: AdmissionRate(burst: 400, perSecond: 200))
    rates.set(
      .connection, address: AdmissionRate(burst: 20, perSecond: 5),
      together: AdmissionRate(burst: 100, perSecond: 40))
    rates.set(
      .datagram, address: AdmissionRate(burst: 200, perSecond: 100),
      together: AdmissionRate(burst: 4000, perSecond: 2000))
    return rates
  }

  /// What authenticated peers get: many phones may stand behind one address.
  package static var known: AdmissionRates {
    var rates = AdmissionRates(
      address: AdmissionRate(burst: 200, perSecond: 50), together: AdmissionRate(burst: 4000, perSecond: 2000)
    )
    // A building that comes back after a power cut registers at once, from behind one address if need be.
    rates.set(
      .register, address: AdmissionRate(burst: 1000, perSecond: 500),
      together: AdmissionRate(burst: 40_000, perSecond: 20_000))
    rates.set(
      .datagram, address: AdmissionRate(burst: 4000, perSecond: 2000),
      together: AdmissionRate(burst: 100_000, perSecond: 50_000))
    return rates
  }

  /// What stations get: far above what a door can ask for, and still bounded, for UDP sources can be forged.
  package static var provisioned: AdmissionRates {
    var rates = AdmissionRates(
      address: AdmissionRate(burst: 100, perSecond: 50), together: AdmissionRate(burst: 1000, perSecond: 500))
    rates.set(
      .datagram, address: AdmissionRate(burst: 1000, perSecond: 500),
      together: AdmissionRate(burst: 4000, perSecond: 2000))
    return rates
  }
}

package enum AdmissionVerdict: Sendable, Equatable {
  case admitted
  /// This address asks too often; a token comes back after the interval.
  case addressOverQuota(Interval)
  /// All addresses of its standing together ask too often.
  case standingOverQuota(Interval)
}

package struct Admission: Sendable {
  private var rates: [AdmissionRates]
  private var tables: [BucketTable]
  /// When each shared bucket would be full again, by standing and kind.
  private var together: [Int64]
  /// How many were refused, by standing and kind.
  private var refusals: [Int]

  /// `seed` spreads addresses over the tables where nobody outside can foresee it. `places` is how many addresses
  /// each standing remembers.
  package init(
    seed: UInt64, strangers: AdmissionRates = .strangers, known: AdmissionRates = .known,
    provisioned: AdmissionRates = .provisioned, places: Int = 4096
  ) {
    rates = [strangers, known, provisioned]
    tables = SourceStanding.allCases.map { BucketTable(seed: seed &+ UInt64($0.rawValue), places: places) }
    let cells = SourceStanding.allCases.count * AdmissionKind.allCases.count
    together = Array(repeating: .min, count: cells)
    refusals = Array(repeating: 0, count: cells)
  }

  /// Takes a token for `kind` from the buckets of `address`. A refusal takes none.
  package mutating func admit(
    _ kind: AdmissionKind, from address: IPAddress, standing: SourceStanding, at now: Instant
  ) -> AdmissionVerdict {
    let cell = standing.rawValue * AdmissionKind.allCases.count + kind.rawValue
    let rates = rates[standing.rawValue]
    // One host of IPv6 owns a whole /64; only who is provisioned is told apart within it.
    let key =
      standing == .stranger && !address.isV4 ? IPAddress(high: address.high, low: 0) : address
    let place = tables[standing.rawValue].place(of: key, kind: kind, at: now.nanoseconds)
    let own = Bucket.draw(tables[standing.rawValue].full[place], rates.address(kind), at: now.nanoseconds)
    guard case .drawn(let ownFull) = own else {
      refusals[cell] += 1
      return .addressOverQuota(own.wait)
    }
    let shared = Bucket.draw(together[cell], rates.together(kind), at: now.nanoseconds)
    guard case .drawn(let sharedFull) = shared else {
      refusals[cell] += 1
      return .standingOverQuota(shared.wait)
    }
    tables[standing.rawValue].full[place] = ownFull
    together[cell] = sharedFull
    return .admitted
  }

  /// How many were refused so far.
  package func refused(_ kind: AdmissionKind, _ standing: SourceStanding) -> Int {
    refusals[standing.rawValue * AdmissionKind.allCases.count + kind.rawValue]
  }
}

/// A token bucket as one number: the moment at which it would be full again (the generic cell rate algorithm).
private enum Bucket {
  case drawn(Int64)
  case empty(Int64)

  static func draw(_ full: Int64, _ rate: AdmissionRate, at now: Int64) -> Bucket {
    let from = max(full, now)
    let after = from + rate.interval.nanoseconds
    let latest = now + rate.interval.nanoseconds * Int64(rate.burst)
    return after <= latest ? .drawn(after) : .empty(after - latest)
  }

  var wait: Interval {
    switch self {
    case .drawn: .zero
    case .empty(let nanoseconds): .nanoseconds(nanoseconds)
    }
  }
}

/// Buckets of many addresses in a table that never grows: sets of four places, the fullest bucket gives way.
private struct BucketTable: Sendable {
  private static let ways = 4
  private var keys: [IPAddress?]
  /// When the bucket of a place and kind would be full again.
  var full: [Int64]
  private let sets: UInt64
  private let seed: UInt64

  init(seed: UInt64, places: Int) {
    sets = UInt64(max(1, places / BucketTable.ways))
    self.seed = seed
    keys = Array(repeating: nil, count: Int(sets) * BucketTable.ways)
    full = Array(repeating: .min, count: keys.count * AdmissionKind.allCases.count)
  }

  /// Where the bucket of `key` and `kind` lies, made now if it is new.
  mutating func place(of key: IPAddress, kind: AdmissionKind, at now: Int64) -> Int {
    var mixed = seed
    for word in [key.high, key.low] {
      mixed = (mixed ^ word) &* 0x9E37_79B9_7F4A_7C15
      mixed ^= mixed >> 29
      mixed = mixed &* 0xBF58_476D_1CE4_E5B9
      mixed ^= mixed >> 32
    }
    let first = Int(mixed.multipliedFullWidth(by: sets).high) * BucketTable.ways
    var chosen = first
    var chosenAge = Int64.max
    for way in first..<first + BucketTable.ways {
      guard let tenant = keys[way] else {
        chosen = way
        chosenAge = .min
        continue
      }
      if tenant == key { return way * AdmissionKind.allCases.count + kind.rawValue }
      let age = busiest(way)
      if age < chosenAge {
        chosen = way
        chosenAge = age
      }
    }
    keys[chosen] = key
    for other in 0..<AdmissionKind.allCases.count {
      full[chosen * AdmissionKind.allCases.count + other] = .min
    }
    return chosen * AdmissionKind.allCases.count + kind.rawValue
  }

  private func busiest(_ way: Int) -> Int64 {
    var latest = Int64.min
    for kind in 0..<AdmissionKind.allCases.count {
      latest = max(latest, full[way * AdmissionKind.allCases.count + kind])
    }
    return latest
  }
}
