internal import Wire

// A session: an INVITE and what came of it, on one leg, ours or the peer's.
//
// Responsible for remembering where the call stands; the agent's extensions act on it. A session is gone from its
// owner's view after the one event that ends it (refused, cancelled, ended); inside it lingers until its last
// transaction is done, so that a late 2xx is still acknowledged and a BYE is still answered for.
//
//   caller      inviting ──2xx──▶ established (or answeredOpen, until we answer the peer's offer in the ACK)
//               inviting ──refusal, timeout──▶ over
//               inviting ──cancel──▶ cancelling ──487, any refusal, 64·T1──▶ over
//                                    cancelling ──2xx──▶ ACK, BYE, over
//   callee      incoming ──answer──▶ answering ──ACK──▶ established
//               incoming ──refuse, CANCEL, BYE, limit──▶ over
//               answering ──64·T1 without ACK──▶ BYE, over
//               answering ──hangUp──▶ closing ──ACK, 64·T1──▶ BYE, over
//   both        established ──BYE either way, session timer, 481──▶ over
final class Session {
  enum Phase: Equatable {
    /// Caller: no final response yet. May become answeredOpen, established, cancelling or over.
    case inviting
    /// Caller: given up; the CANCEL leaves as soon as a provisional response allows it. May become over.
    case cancelling
    /// Caller: the 2xx carries the offer; the ACK waits for our answer. May become established or over.
    case answeredOpen
    /// Callee: nothing final sent. May become answering or over.
    case incoming
    /// Callee: 2xx sent, not acknowledged. May become established, closing or over.
    case answering
    /// Callee: hung up before the ACK, which a BYE must wait for (§15). May become over.
    case closing
    /// Both: confirmed. May become over.
    case established
    /// Both: ended; lingers for its transactions.
    case over
  }

  /// Who waits for what in an exchange of offer and answer after the first (RFC 3264, 3311, 6337).
  enum Exchange: Equatable {
    case none
    /// Our re-INVITE or UPDATE is out.
    case ours(Handle)
    /// The peer's waits for `acceptOffer` or `refuseOffer`.
    case theirs(Handle, isUpdate: Bool)
    /// Their re-INVITE was answered and waits for its ACK; `isOffer`: the ACK brings their answer.
    case acknowledging(isOffer: Bool)
  }

  /// The clocks of one session, each a timer in the agent's wheel.
  enum Clock: Int, CaseIterable {
    /// The 2xx is sent again.
    case answer
    /// The ACK did not come.
    case answerEnd
    /// The session timer: refresh, or give up.
    case interval
    /// The pause after 491.
    case glare
    /// An INVITE without a final response, or a CANCEL without effect.
    case limit
    /// A reliable provisional response is sent again.
    case reliable
    /// A provisional response is repeated so that proxies do not give up (§13.3.1.1).
    case ringing
    /// The peer's WebSocket is gone; it may come back on another for so long.
    case orphaned
  }

  /// A 2xx on its way, until its ACK.
  struct PendingAnswer {
    var cseq: UInt32
    var bytes: [UInt8]
    var flow: Flow
    var wait: Interval
    var isInitial: Bool
    /// The 2xx carries our offer: the ACK must bring the answer.
    var isOffer: Bool
  }

  /// A reliable provisional response on its way, until its PRACK (RFC 3262).
  struct PendingProvisional {
    var sequence: UInt32
    var bytes: [UInt8]
    var flow: Flow
    var wait: Interval
    var waited: Interval
    var hasBody: Bool
  }

  /// What an answer needs that has to wait for a PRACK.
  struct DelayedAnswer {
    var body: Body?
    var headers: [(String, String)]
  }

  let isCaller: Bool
  var phase: Phase
  /// The event that ends the session was given out.
  var isClosed = false

  var callID: String
  var localTag = ""
  /// From and To as we write them in our requests; `local` carries our tag.
  var local: NameAddress
  var remote: NameAddress
  var localCSeq: UInt32
  var contactUser: String?
  var identity: Identity?
  /// Where a callee's call came from.
  var caller: IPAddress?

  /// One for a callee; early ones by fork for a caller.
  var dialogs: [Dialog] = []
  /// Which dialog the session goes on with.
  var chosen: Int?

  /// The initial INVITE's transaction: a client's for a caller, a server's for a callee.
  var invite: Handle = .none
  /// What a caller invited with, for a repetition after 422 (RFC 4028 §7.3).
  var invitation: OutgoingInvitation?
  var intervalRetries = 0
  var leastInterval: Int
  var hasProvisional = false
  var cancelReason: Reason?

  /// The callee needs reliable provisional responses.
  var needsReliable = false
  var reliableSequence: UInt32 = 0
  var provisional: PendingProvisional?
  var queuedProvisional: (status: Int, body: Body?, headers: [(String, String)])?
  var delayedAnswer: DelayedAnswer?

  var answer: PendingAnswer?
  var hangUpReason: Reason?

  var exchange = Exchange.none
  var queuedOffer: Body?
  /// Our last offer or answer, for refreshes by re-INVITE.
  var localBody: Body?
  var remoteBody: Body?

  var timer: SessionTimer?
  var transferSequences: [UInt32] = []

  /// Transactions that report here.
  var holds = 0
  var clocks = [Handle](repeating: .none, count: Clock.allCases.count)

  init(
    isCaller: Bool, callID: String, local: NameAddress, remote: NameAddress, cseq: UInt32, leastInterval: Int
  ) {
    self.isCaller = isCaller
    phase = isCaller ? .inviting : .incoming
    self.callID = callID
    self.local = local
    self.remote = remote
    localCSeq = cseq
    self.leastInterval = leastInterval
  }

  /// The dialog that requests go into.
  var dialog: Dialog? {
    get { chosen.flatMap { dialogs.indices.contains($0) ? dialogs[$0] : nil } }
    set {
      guard let chosen, dialogs.indices.contains(chosen), let newValue else { return }
      dialogs[chosen] = newValue
    }
  }

  /// The place of the dialog with this remote tag.
  func place(of remoteTag: String) -> Int? { dialogs.firstIndex { $0.remoteTag == remoteTag } }

  /// There was an answer: the session may exchange offers, INFO and BYE.
  var isAnswered: Bool {
    switch phase {
    case .inviting, .cancelling, .incoming, .over, .closing: false
    case .answeredOpen, .answering, .established: true
    }
  }
}
