internal import Wire

// From a URI to addresses: RFC 3263 §4.
//
// A numeric host is an address at once. A name with a port is looked up as A and AAAA; a name without one as SRV of
// the transport first. NAPTR is skipped: the transport is the URI's, or UDP, or TLS for `sips`. The look-ups
// themselves are done by whoever takes the `resolve` events.
//
//   start       numeric: done · port given: addresses · else: service
//   service     records: addresses (of each, by priority, then weight) · none: addresses (of the name itself)
//   addresses   more targets left: addresses · else: done
struct Resolution {
  enum State {
    /// SRV records of the name were asked for. May become addresses or done.
    case service
    /// A and AAAA of the first target were asked for. May become addresses (of the next) or done.
    case addresses([Target])
    /// Everything is known; may be nothing.
    case done
  }

  struct Target: Equatable {
    var host: String
    var port: UInt16
  }

  /// Names beyond these of one SRV answer are not looked at, nor more addresses tried.
  static let limit = 8

  let transport: TransportKind
  private(set) var state = State.service
  private(set) var endpoints: [Endpoint] = []
  private let host: String

  /// The transport of a next hop: its `transport` parameter, else TLS for `sips`, else UDP. nil when we do not
  /// speak it.
  static func transport(named name: String?, isSecure: Bool) -> TransportKind? {
    guard let name else { return isSecure ? .tls : .udp }
    let lowered = String(decoding: name.utf8.map { ASCII.lowered($0) }, as: UTF8.self)
    switch lowered {
    case "udp": return isSecure ? nil : .udp
    case "tcp": return isSecure ? .tls : .tcp
    case "tls": return .tls
    case "ws": return isSecure ? .wss : .ws
    case "wss": return .wss
    default: return nil
    }
  }

  static func defaultPort(_ transport: TransportKind) -> UInt16 {
    switch transport {
    case .udp, .tcp: 5060
    case .tls: 5061
    case .ws: 80
    case .wss: 443
    }
  }

  init(host: String, port: UInt16?, transport: TransportKind) {
    self.transport = transport
    self.host = host
    if let address = IPAddress(host) {
      endpoints = [Endpoint(address, port: port ?? Resolution.defaultPort(transport))]
      state = .done
    } else if let port {
      state = .addresses([Target(host: host, port: port)])
    } else if transport == .ws || transport == .wss {
      state = .addresses([Target(host: host, port: Resolution.defaultPort(transport))])
    }
  }

  /// What must be looked up now; nil when done.
  var query: NameQuery? {
    switch state {
    case .service:
      switch transport {
      case .udp: .service(name: "_sip._udp.\(host)")
      case .tcp: .service(name: "_sip._tcp.\(host)")
      case .tls: .service(name: "_sips._tcp.\(host)")
      case .ws, .wss: nil
      }
    case .addresses(let targets): targets.first.map { .addresses(host: $0.host) }
    case .done: nil
    }
  }

  /// Takes the answer to `query`.
  mutating func receive(_ names: [ResolvedName], _ random: inout Random) {
    switch state {
    case .done: return
    case .service:
      let targets = Resolution.ordered(names, &random)
      state = .addresses(
        targets.isEmpty
          ? [Target(host: host, port: Resolution.defaultPort(transport))] : targets)
      skipNumericTargets()
    case .addresses(let targets):
      guard let target = targets.first else { return state = .done }
      for name in names {
        switch name {
        case .address(let address): add(Endpoint(address, port: target.port))
        case .service: continue
        }
      }
      state = targets.count > 1 ? .addresses(Array(targets.dropFirst())) : .done
      skipNumericTargets()
    }
  }

  /// Some name servers answer SRV with addresses in place of names.
  private mutating func skipNumericTargets() {
    while case .addresses(let targets) = state, let first = targets.first {
      guard let address = IPAddress(first.host) else { return }
      add(Endpoint(address, port: first.port))
      state = targets.count > 1 ? .addresses(Array(targets.dropFirst())) : .done
    }
  }

  private mutating func add(_ endpoint: Endpoint) {
    guard endpoints.count < Resolution.limit, !endpoints.contains(endpoint) else { return }
    endpoints.append(endpoint)
  }

  /// RFC 2782: lowest priority first; within one, drawn by weight.
  private static func ordered(_ names: [ResolvedName], _ random: inout Random) -> [Target] {
    struct Record {
      var target: Target
      var priority: UInt16
      var weight: UInt16
    }
    var records: [Record] = []
    for name in names {
      switch name {
      case .address: continue
      case .service(let host, let port, let priority, let weight):
        // A lone "." says that the service is not offered.
        guard host != ".", !host.isEmpty else { continue }
        records.append(
          Record(target: Target(host: host, port: port), priority: priority, weight: weight))
      }
    }
    var result: [Target] = []
    while !records.isEmpty, result.count < limit {
      let lowest = records.map(\.priority).min() ?? 0
      let places = records.indices.filter { records[$0].priority == lowest }
      let total = places.reduce(UInt64(0)) { $0 + UInt64(records[$1].weight) }
      var draw = random.below(total + 1)
      var chosen = places[places.count - 1]
      for place in places {
        let weight = UInt64(records[place].weight)
        if draw <= weight {
          chosen = place
          break
        }
        draw -= weight
      }
      result.append(records[chosen].target)
      records.remove(at: chosen)
    }
    return result
  }
}
