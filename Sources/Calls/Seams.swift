package import Directory
package import SDP
package import SIP
package import Wire

/// The sessions of the signalling agent, as calls need them. One session is one leg's INVITE and dialog.
package protocol Signalling: AnyObject {
  /// Calls somebody. The session ends in exactly one of refused, cancelled, ended. `SessionID(.none)` when there is no
  /// room for one more: nothing follows then.
  func invite(_ invitation: LegInvitation, _ turn: inout Turn) -> SessionID
  /// A provisional answer, 180 or 183.
  func ring(_ session: SessionID, status: Int, body: Body?, _ turn: inout Turn)
  /// 200 to the caller's INVITE.
  func answer(_ session: SessionID, body: Body, _ turn: inout Turn)
  /// A final refusal of the caller's INVITE.
  func refuse(_ session: SessionID, status: Int, headers: [(String, String)], _ turn: inout Turn)
  /// Takes an unanswered INVITE of ours back; an answer that crosses is hung up by the agent.
  func cancel(_ session: SessionID, reason: Reason?, _ turn: inout Turn)
  func hangUp(_ session: SessionID, reason: Reason?, _ turn: inout Turn)
  /// A new offer inside the dialog (re-INVITE).
  func offer(_ session: SessionID, body: Body, _ turn: inout Turn)
  /// Answers the peer's offer; when the peer wanted ours, `body` is that offer and the answer comes as
  /// `offerAccepted`.
  func acceptOffer(_ session: SessionID, body: Body, _ turn: inout Turn)
  func refuseOffer(_ session: SessionID, status: Int, _ turn: inout Turn)
  func info(_ session: SessionID, body: Body, _ turn: inout Turn)
  /// Answers a request inside a session: INFO, REFER.
  func reply(_ transaction: TransactionID, status: Int, _ turn: inout Turn)
  /// Tells who asked for a transfer how it goes (RFC 3515); a final status ends the subscription.
  func notifyTransfer(_ session: SessionID, status: Int, _ turn: inout Turn)
}

/// One outgoing leg's INVITE.
package struct LegInvitation: Sendable {
  /// Who is shown as calling: user part and display name.
  package var from: Party
  /// User part of the To address: the account that is rung.
  package var to: String
  package var destination: Destination
  package var headers: [(String, String)]
  package var body: Body

  package init(
    from: Party, to: String, destination: Destination, headers: [(String, String)] = [], body: Body
  ) {
    self.from = from
    self.to = to
    self.destination = destination
    self.headers = headers
    self.body = body
  }
}

/// A user part with the name that people read.
package struct Party: Sendable, Hashable {
  package var username: String
  package var display: String

  package init(username: String, display: String) {
    self.username = username
    self.display = display
  }
}

/// Names a leg of the media plane.
package struct MediaLegID: Hashable, Sendable {
  package let handle: Handle
  package init(_ handle: Handle) { self.handle = handle }
  package static let none = MediaLegID(.none)
}

/// A leg of the media plane with the ports it receives on.
package struct MediaLeg: Sendable, Equatable {
  package var id: MediaLegID
  package var address: IPAddress
  package var audio: UInt16
  package var audioRTCP: UInt16
  package var video: UInt16?
  package var videoRTCP: UInt16?

  package init(
    id: MediaLegID, address: IPAddress, audio: UInt16, audioRTCP: UInt16, video: UInt16? = nil,
    videoRTCP: UInt16? = nil
  ) {
    self.id = id
    self.address = address
    self.audio = audio
    self.audioRTCP = audioRTCP
    self.video = video
    self.videoRTCP = videoRTCP
  }
}

/// One stream of a leg, settled: what the peer takes and where, and what it may send us.
package struct LegStream: Sendable, Equatable {
  package var peer: PeerStream
  /// Formats that come from the peer, in the numbers that our description gave them.
  package var receiving: [Format]
  /// Where the peer's signalling comes from: the only other address its media may have.
  package var signalledFrom: IPAddress?
  package var form: MediaForm

  package init(
    peer: PeerStream, receiving: [Format], signalledFrom: IPAddress?, form: MediaForm = .plain
  ) {
    self.form = form
    self.peer = peer
    self.receiving = receiving
    self.signalledFrom = signalledFrom
  }
}

/// Which RFC 4733 keys cross a bridge untouched; the others are taken out.
package struct KeyPassage: Sendable, Equatable {
  package var fromFirst: Bool
  package var fromSecond: Bool

  package init(fromFirst: Bool, fromSecond: Bool) {
    self.fromFirst = fromFirst
    self.fromSecond = fromSecond
  }
}

/// What a leg may be played.
package enum CallTone: Sendable, Equatable { case opened, refused }

/// What one leg's streams carried.
package struct StreamCounts: Sendable, Hashable {
  package var packetsIn: Int
  package var packetsOut: Int
  package var lost: Int
  /// Milliseconds.
  package var jitter: Int
  /// From whoever may not speak here, before the answer too: dropped.
  package var foreign: Int
  /// Milliseconds; nil before the peer reported.
  package var roundTrip: Int?
  /// Hundredths of a mean opinion score, 100 to 441; nil when too little was heard.
  package var opinion: Int?

  package init(
    packetsIn: Int = 0, packetsOut: Int = 0, lost: Int = 0, jitter: Int = 0, foreign: Int = 0,
    roundTrip: Int? = nil, opinion: Int? = nil
  ) {
    self.roundTrip = roundTrip
    self.opinion = opinion
    self.packetsIn = packetsIn
    self.packetsOut = packetsOut
    self.lost = lost
    self.jitter = jitter
    self.foreign = foreign
  }
}

/// What a device's media is made of.
package enum MediaForm: Sendable, Hashable {
  /// RTP to a port of its own, as panels and stations speak it.
  case plain
  /// ICE, DTLS and SRTP, as browsers speak it.
  case webRTC
}

/// The media plane, as calls need it. It knows nothing of signalling.
package protocol Media: AnyObject {
  /// Ports for one leg, on the address that `peer` can reach; nil when there are none left.
  func open(video: Bool, facing peer: IPAddress?) -> MediaLeg?
  /// A peer connection for one leg that is going to answer `offer`, or to make an offer; nil when there is no room.
  func openPeer(video: Bool, offer: SessionDescription?) -> (any LegDescriptions)?
  /// Sets or changes where a leg sends and what it takes. A nil stream is off.
  func setStreams(_ leg: MediaLegID, audio: LegStream?, video: LegStream?)
  /// Whether two streams can be joined beside what runs: turning one encoding into another costs, and the machine has
  /// so much. A nil stream needs nothing.
  func affords(_ first: LegStream?, _ second: LegStream?) -> Bool
  /// Joins two legs both ways; either leaves what it was joined to before.
  func bridge(_ first: MediaLegID, _ second: MediaLegID, keys: KeyPassage)
  /// Leaves a leg by itself: it hears nothing and nobody hears it.
  func unbridge(_ leg: MediaLegID)
  /// Lets all of `listeners` hear `source`, and nobody else; they are not heard.
  func page(from source: MediaLegID, to listeners: [MediaLegID])
  func play(_ tone: CallTone, on leg: MediaLegID)
  /// RFC 4733 keys towards that leg.
  func sendKeys(_ digits: String, on leg: MediaLegID)
  func counts(_ leg: MediaLegID) -> StreamCounts
  /// Gives the ports back; the last counts.
  func close(_ leg: MediaLegID) -> StreamCounts
}

/// The building, as calls need it: who is called, where they are, what time it is.
package protocol Dialplan: AnyObject {
  func decide(_ caller: Caller, dialled: String, busyUnits: Set<UnitID>) -> CallDecision
  /// The devices of a target that can be reached now, best first.
  func contacts(of target: CallTarget) -> [Contact]
  func station(_ name: StationName) -> Station?
  /// The unit an account belongs to.
  func unit(of caller: Caller) -> UnitID?
  /// What people read of a caller: a station's name, an account's name.
  func displayName(of caller: Caller) -> String
  /// Header fields that tell a device how to see who calls it, in this call.
  func view(of caller: Caller, for called: Caller, in call: CallID, _ turn: inout Turn) -> [(String, String)]
  /// Whether the pictures of a station's calls are looked at beside those who talk to it.
  func isWatched(_ station: StationName) -> Bool
  /// Civil time, for records.
  var wall: WallTime { get }
}

extension Dialplan {
  package func isWatched(_ station: StationName) -> Bool { false }

  package func view(
    of caller: Caller, for called: Caller, in call: CallID, _ turn: inout Turn
  ) -> [(String, String)] { [] }
}

/// One device of an account, ready to be called.
package struct Contact: Sendable {
  /// Tells this device from the account's others; a contact's URI.
  package var id: String
  /// Where it is called; nil for a page, which hears of calls from events.
  package var destination: Destination?
  /// Where its signalling comes from, when known.
  package var address: IPAddress?
  /// The credential it registered with, so that revoking ends its board.
  package var credential: UInt64?
  package var form: MediaForm

  package var isPage: Bool { destination == nil }

  package init(
    id: String, destination: Destination?, address: IPAddress? = nil, credential: UInt64? = nil,
    form: MediaForm = .plain
  ) {
    self.form = form
    self.id = id
    self.destination = destination
    self.address = address
    self.credential = credential
  }
}

/// An admitted INVITE, put into the words of board.
package struct Invitation: Sendable {
  package var caller: Caller
  package var credential: UInt64?
  /// The user part of the request URI, unescaped.
  package var dialled: String
  /// The caller's Call-ID, kept in the record.
  package var callID: String
  package var body: Body?
  /// Where the INVITE came from.
  package var source: IPAddress?
  /// The session that this one takes over (RFC 3891), found by the agent.
  package var replaces: SessionID?
  package var form: MediaForm

  package init(
    caller: Caller, credential: UInt64? = nil, dialled: String, callID: String, body: Body?,
    source: IPAddress? = nil, replaces: SessionID? = nil, form: MediaForm = .plain
  ) {
    self.form = form
    self.caller = caller
    self.credential = credential
    self.dialled = dialled
    self.callID = callID
    self.body = body
    self.source = source
    self.replaces = replaces
  }
}

/// A REFER, put into the words of board.
package struct TransferRequest: Sendable {
  /// The user part of Refer-To.
  package var dialled: String
  /// The session that `Replaces` in Refer-To names; nil for a blind transfer.
  package var replaces: SessionID?

  package init(dialled: String, replaces: SessionID? = nil) {
    self.dialled = dialled
    self.replaces = replaces
  }
}
