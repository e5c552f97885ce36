package import Wire

// Finds the session of a datagram on a port that many sessions share.
//
//   received                      is found by
//   binding request               the user fragment of ours that its USERNAME begins with
//   STUN response                 the tag that our transactions begin with
//   anything else                 the address it comes from, as far as that has proved to be a session's
//
// Nothing a stranger sends changes the tables: addresses are learnt from agents (`.validated`), at most so many of a
// session, and forgotten with it. Datagrams of TURN servers never come here: their sockets belong to one session.

/// The sessions of one port, by handle.
package struct ICEDemultiplexer: Sendable {
  /// Addresses kept of one session; beyond it the oldest goes.
  package static let addressLimit = 16
  /// Fragments of one session: the current and, during a restart, those before it.
  package static let fragmentLimit = 3

  private struct Source: Hashable, Sendable {
    var remote: Endpoint
    var socket: SocketID
  }
  private struct Session: Sendable {
    var handle: Handle
    var fragments: [UInt64] = []
    var sources: [Source] = []
  }

  // Looked up, never walked.
  private var tags: [UInt32: Handle] = [:]
  private var sessions: [Handle: Session] = [:]
  private var fragments: [UInt64: Handle] = [:]
  private var sources: [Source: Handle] = [:]

  package init() {}

  package var count: Int { sessions.count }
  /// How many addresses lead to sessions.
  package var sourceCount: Int { sources.count }

  /// Takes a session in. `tag` is its agent's; two sessions of one port must not share it.
  package mutating func add(_ session: Handle, _ credentials: ICECredentials, tag: UInt32) {
    precondition(sessions[session] == nil && tags[tag] == nil, "a session is added twice")
    sessions[session] = Session(handle: session)
    tags[tag] = session
    addFragment(credentials, of: session)
  }

  /// Adds the fragment of a restarted session; the ones before it stay good, up to the limit.
  package mutating func addFragment(_ credentials: ICECredentials, of session: Handle) {
    guard let key = ICEDemultiplexer.key(credentials.fragment.span, 0..<credentials.fragment.count) else {
      preconditionFailure("our fragments have eight characters")
    }
    guard var known = sessions[session], fragments[key] == nil else { return }
    if known.fragments.count == ICEDemultiplexer.fragmentLimit {
      fragments[known.fragments.removeFirst()] = nil
    }
    known.fragments.append(key)
    sessions[session] = known
    fragments[key] = session
  }

  /// Forgets a session with all that leads to it.
  package mutating func remove(_ session: Handle, tag: UInt32) {
    guard let known = sessions.removeValue(forKey: session) else { return }
    if tags[tag] == session { tags[tag] = nil }
    for fragment in known.fragments { fragments[fragment] = nil }
    for source in known.sources { sources[source] = nil }
  }

  /// What comes from here on is the session's: call for each `.validated`. An address that was another session's
  /// changes hands: its new owner has proved itself.
  package mutating func learn(_ flow: Flow, of session: Handle) {
    let source = Source(remote: flow.remote, socket: flow.socket)
    let old = sources[source]
    guard old != session, sessions[session] != nil else { return }
    if let old { sessions[old]?.sources.removeAll { $0 == source } }
    if sessions[session]?.sources.count == ICEDemultiplexer.addressLimit {
      if let oldest = sessions[session]?.sources.removeFirst() { sources[oldest] = nil }
    }
    sessions[session]?.sources.append(source)
    sources[source] = session
  }

  /// The session a datagram is for; nil for a stranger's.
  package func route(_ datagram: Span<UInt8>, on flow: Flow) -> Handle? {
    if DatagramKind(datagram) == .stun {
      guard datagram.count >= STUNMessage.headerLength, datagram.word32(at: 4) == STUNMessage.cookie else {
        return nil
      }
      // Both class bits of the type.
      if datagram[0] & 1 == 1 { return tags[datagram.word32(at: 8)] }
      return ICEDemultiplexer.fragment(of: datagram).flatMap { fragments[$0] }
    }
    return sources[Source(remote: flow.remote, socket: flow.socket)]
  }

  /// The first part of USERNAME as one word, if it has the length that ours have.
  private static func fragment(of datagram: Span<UInt8>) -> UInt64? {
    var place = STUNMessage.headerLength
    while place + 4 <= datagram.count {
      let size = Int(datagram.word16(at: place + 2))
      if datagram.word16(at: place) == STUNAttribute.username {
        let start = place + 4
        guard size >= 9, start + size <= datagram.count, datagram[start + 8] == UInt8(ascii: ":") else {
          return nil
        }
        return key(datagram, start..<start + 8)
      }
      place += 4 + (size + 3) & ~3
    }
    return nil
  }

  private static func key(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
    range.count == 8 ? bytes.word64(at: range.lowerBound) : nil
  }
}
