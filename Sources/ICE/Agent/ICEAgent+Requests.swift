internal import Wire

// Checks of the peer (RFC 8445 section 7.3). This is the way that every consent check takes for the whole of a call,
// so it allocates nothing once the path is known.

extension ICEAgent {
  /// How long a nominated path is kept against a worse one: aggressive peers nominate everything they try.
  static let nominationHold = Interval.seconds(1)
  /// How long a selected path brings nothing before one that is merely checked takes over. A peer to which a translator
  /// gave another port does not know of it, and where it does not nominate anew with every check (Firefox) nothing else
  /// would tell us: shorter therefore where only the port is another.
  static let silence = Interval.seconds(6)
  static let silenceOfPort = Interval.seconds(2)

  /// Answers a binding request that carries our password.
  mutating func answer(
    _ message: STUNMessage, in datagram: Span<UInt8>, on path: ICEPath, _ turn: inout Turn
  ) -> ICEReading {
    guard message.hasFingerprint(in: datagram), let ours = addressee(of: message, in: datagram),
      message.hasIntegrity(key: ours.password, in: datagram)
    else {
      counters.refused += 1
      return .ignored
    }
    if message.unknownCount > 0 {
      refuse(message, 420, "Unknown Attribute", key: ours.password, on: path, &turn)
      return .consumed
    }
    guard let priority = message.priority(in: datagram) else {
      refuse(message, 400, "Bad Request", key: ours.password, on: path, &turn)
      return .consumed
    }
    guard settleRoles(message, in: datagram) else {
      refuse(message, 487, "Role Conflict", key: ours.password, on: path, &turn)
      return .consumed
    }
    writer.begin(.success, STUNMethod.binding, message.transaction)
    writer.add(STUNAttribute.xorMappedAddress, xor: path.peer)
    writer.seal(key: ours.password)
    transmit(on: path, &turn)
    counters.answered += 1

    guard standing != .over else { return .consumed }
    let isEarlier = ours != credentials
    if configuration.mode == .lite {
      hear(path, priority: priority, isNominating: message.hasUseCandidate, isEarlier: isEarlier, turn.now)
    } else if !isEarlier {
      checked(path, priority: priority, isNominating: message.hasUseCandidate, &turn)
    }
    return .consumed
  }

  /// Whose password the request must carry: USERNAME is our fragment, a colon and the peer's.
  private func addressee(of message: STUNMessage, in datagram: Span<UInt8>) -> ICECredentials? {
    func names(_ fragment: [UInt8]) -> Bool {
      let place = Int(message.username.start)
      guard Int(message.username.count) > fragment.count,
        datagram[place + fragment.count] == UInt8(ascii: ":")
      else { return false }
      for index in fragment.indices where datagram[place + index] != fragment[index] { return false }
      return true
    }
    if names(credentials.fragment) { return credentials }
    if let earlierCredentials, names(earlierCredentials.fragment) { return earlierCredentials }
    return nil
  }

  /// Whether the peer's role goes with ours, after we changed it or not; false when it must change (RFC 8445
  /// section 7.3.1.1).
  private mutating func settleRoles(_ message: STUNMessage, in datagram: Span<UInt8>) -> Bool {
    let rival: UInt64? =
      role == .controlled ? message.controlled(in: datagram) : message.controlling(in: datagram)
    guard let rival else { return true }
    // A lite agent cannot control: the full one must, whatever the tie-breakers say (section 6.1.1).
    if configuration.mode == .lite { return false }
    let isOursLarger = tieBreaker >= rival
    if (role == .controlling) == isOursLarger { return false }
    changeRole()
    return true
  }

  private mutating func refuse(
    _ message: STUNMessage, _ code: Int, _ phrase: String, key: [UInt8], on path: ICEPath, _ turn: inout Turn
  ) {
    counters.refused += 1
    writer.begin(.failure, STUNMethod.binding, message.transaction)
    writer.addError(code, phrase)
    if code == 420 {
      var types: [UInt8] = []
      for index in 0..<message.unknownCount {
        types.append(UInt8(message.unknown[index] >> 8))
        types.append(UInt8(message.unknown[index] & 0xFF))
      }
      writer.add(STUNAttribute.unknownAttributes, types)
    }
    writer.seal(key: key)
    transmit(on: path, &turn)
  }

  /// Sends what the writer holds.
  mutating func transmit(on path: ICEPath, _ turn: inout Turn) {
    if path.relayed == nil {
      if !turn.out.send(writer.bytes, on: path.flow) { counters.unsent += 1 }
    } else {
      let bytes = writer.bytes
      transmit(bytes.span, on: path, &turn)
    }
  }

  /// Lite: notes an authenticated check on a path and decides whether media goes there.
  private mutating func hear(
    _ path: ICEPath, priority: UInt32, isNominating: Bool, isEarlier: Bool, _ now: Instant
  ) {
    // What carries the credentials from before a restart keeps an old path alive and opens no new one.
    if isEarlier, !isValidated(path) { return }
    let place = validate(path, priority: priority, now)
    paths[place].heard = now
    paths[place].priority = priority
    consent = now
    if isNominating { paths[place].nominated = now }
    let isChosen: Bool
    if let selected {
      // After a restart the new credentials win, at once where the old path is silent.
      let isNewer = isRestarting && !isEarlier
      isChosen =
        !selected.isSame(as: path)
        && (isNewer
          ? isNominating || standing == .disconnected
          : isEarlier == isRestarting
            && (isNominating
              ? prefers(path, priority: priority, to: selected, now) : isSilent(selected, beside: path, now)))
    } else {
      isChosen = true
    }
    if isChosen {
      selected = path
      carried = nil
      report(.selected(path))
    }
    if isNominating, !isEarlier, isRestarting {
      isRestarting = false
      earlierCredentials = nil
      earlierRemoteCredentials = nil
    }
    if standing != .connected {
      standing = .connected
      report(.connected)
      settleLite()
    }
  }

  /// The place of a path among the validated, made if it is new.
  mutating func validate(_ path: ICEPath, priority: UInt32, _ now: Instant) -> Int {
    if let known = paths.firstIndex(where: { $0.path.isSame(as: path) }) { return known }
    if paths.count >= configuration.pathLimit {
      // The selected one stays, however long it was silent.
      var oldest: Int?
      for place in paths.indices where selected.map({ !$0.isSame(as: paths[place].path) }) ?? true {
        if oldest.map({ paths[place].heard < paths[$0].heard }) ?? true { oldest = place }
      }
      if let oldest { paths.remove(at: oldest) }
    }
    paths.append(ValidatedPath(path: path, heard: now, checked: now, priority: priority, nominated: nil))
    if path.relayed == nil { report(.validated(path.flow)) }
    return paths.count - 1
  }

  /// Whether a nominated path takes over: the latest nomination wins, but for a moment after one the better stays.
  private func prefers(_ path: ICEPath, priority: UInt32, to old: ICEPath, _ now: Instant) -> Bool {
    guard let known = paths.first(where: { $0.path.isSame(as: old) }), let nominated = known.nominated else {
      return true
    }
    return priority > known.priority || now - nominated > ICEAgent.nominationHold
  }

  /// When the selected path last brought anything that only the peer can send.
  func lastSign(of selected: ICEPath) -> Instant? {
    let known = paths.first { $0.path.isSame(as: selected) }
    let last = known.map { max($0.heard, $0.checked) }
    guard let carried else { return last }
    return last.map { max($0, carried) } ?? carried
  }

  /// Whether the selected path has brought nothing for so long that its peer must be thought to be elsewhere.
  private func isSilent(_ selected: ICEPath, beside path: ICEPath, _ now: Instant) -> Bool {
    guard let last = lastSign(of: selected) else { return true }
    let isSameHost = selected.peer.address == path.peer.address
    return now - last >= (isSameHost ? ICEAgent.silenceOfPort : ICEAgent.silence)
  }

  /// Lite: tells silence and its end to the owner.
  mutating func watchLite(_ now: Instant) {
    if let heard = consent {
      if now - heard >= configuration.expiry {
        if !outliveEarlier() {
          end()
          report(.consentLost)
        }
      } else if now - heard >= configuration.disconnection, standing == .connected {
        standing = .disconnected
        report(.disconnected)
      }
    } else if standing == .new, let started, now >= started + configuration.patience {
      end()
      report(.failed)
    }
    settleLite()
  }

  /// Lite: when to look again.
  mutating func settleLite() {
    if let consent {
      deadline = consent + (standing == .connected ? configuration.disconnection : configuration.expiry)
    } else if standing == .new, let started {
      deadline = started + configuration.patience
    } else {
      deadline = nil
    }
  }
}
