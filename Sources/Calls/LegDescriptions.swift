package import SDP
package import SIP

/// What one leg and its peer say to each other of media: offers, answers, and what the two settle.
///
/// A call asks in these words whatever the leg is made of. Plain RTP is described here (`PlainDescriptions`), a peer
/// connection describes itself and comes with the media leg (`Media.openPeer`). Formats in an answer bear the
/// offerer's numbers.
package protocol LegDescriptions: AnyObject {
  var id: MediaLegID { get }
  var form: MediaForm { get }
  /// The peer has said anything at all.
  var hasRemote: Bool { get }

  /// The peer's offer, before we answer it. False when nothing can be made of it: all stays as it was.
  func takeOffer(_ description: SessionDescription) -> Bool
  /// The offer taken last is refused: all is as before it.
  func dismissOffer()
  /// The peer's sound, or picture, as it describes it: formats and which way.
  func offered(_ kind: MediaKind) -> (formats: [Format], direction: Direction)?
  /// Of pictures that the peer offers, the one to accept for what the far side sends; nil when none will do.
  func picture(of formats: [Format], like far: Format) -> Format?
  /// An answer to the peer's last offer: every line of it, the first usable sound and picture accepted, the rest
  /// refused. Nil when none can be made.
  func answer(audio: [Format], _ direction: Direction, video: [Format], videoDirection: Direction) -> Body?

  /// An offer, first or further, sent but not settled before `settle`. Lines of earlier descriptions stay.
  func offer(audio: [Format], _ direction: Direction, video: [Format], videoDirection: Direction) -> Body
  /// The peer's answer to our offer, or its answer anew (183, then 200). False when it leaves no sound: everything
  /// stays as it was.
  func settle(_ answer: SessionDescription) -> Bool
  /// Our offer was refused: everything stays as it was.
  func withdrawOffer()

  /// Candidates that the peer found after its description (RFC 8840); with `mayRestart` also new credentials, by which
  /// it asks for new paths (section 4.4).
  func trickle(_ fragment: [UInt8], mayRestart: Bool) -> TrickleOutcome

  /// What both descriptions settle; nil when the stream is off.
  func settled(_ kind: MediaKind) -> PeerStream?
  /// The same as the media plane wants it.
  func stream(_ kind: MediaKind) -> LegStream?
}

extension LegDescriptions {
  package func picture(of formats: [Format], like far: Format) -> Format? {
    formats.first { $0.isSameEncoding(as: far) } ?? formats.first { $0.payloadType == far.payloadType }
  }

  package func trickle(_ fragment: [UInt8], mayRestart: Bool) -> TrickleOutcome { .taken }

  func offer(audio: [Format], _ direction: Direction) -> Body {
    offer(audio: audio, direction, video: [], videoDirection: .sendrecv)
  }
}
