import Simulation
import Wire

/// One call at a simulated phone, from the first INVITE to the last BYE.
final class Talk {
  enum State {
    /// Our INVITE is out.
    case calling
    /// We took it back.
    case cancelling
    /// We were called and have not answered.
    case ringing
    /// We answered and wait for the ACK.
    case answering
    case up
    case over
  }

  let callID: String
  let isCaller: Bool
  var state: State
  /// From and To as we write them in requests of ours.
  var ours: String
  var theirs: String
  /// The request URI of what we send inside the dialog.
  var target: String
  var way: Way
  var cseq: Int
  /// The INVITE: ours, for a CANCEL; theirs, for its answers.
  var invite: SIPText
  /// Our last answer to their INVITE.
  var lastAnswer: [UInt8] = []
  /// Our ACK to their last 200.
  var lastAck: [UInt8] = []
  /// With whom: the username that was shown or dialled.
  let peer: String
  var version = 1
  /// The password that our INVITE was proved with.
  var proved: String?
  /// The number of its dial in the ledger; 0 for who was called.
  var dial = 0
  /// Since when it talks, and when it last heard somebody.
  var up = Instant(nanoseconds: 0)
  var heard = Instant(nanoseconds: 0)
  var heardFrom: String?

  // Sound
  /// A browser's; nil for who sends it in the clear.
  var sound: BrowserSound?
  /// A further offer of a browser's waits for its answer: it makes no other meanwhile.
  var isOffering = false
  var socket = SocketID.none
  var port: UInt16 = 0
  var far: Endpoint?
  var takesKeys = false
  var sequence: UInt16
  var timestamp: UInt32
  let source: UInt32
  var isOnHold = false
  /// The other end only talks: a page.
  var isMuted = false
  /// The keys pressed, for codes of more than one.
  var keys = ""

  init(
    callID: String, isCaller: Bool, ours: String, theirs: String, target: String, way: Way, cseq: Int,
    invite: SIPText, peer: String, _ dice: inout Random
  ) {
    self.callID = callID
    self.isCaller = isCaller
    self.ours = ours
    self.theirs = theirs
    self.target = target
    self.way = way
    self.cseq = cseq
    self.invite = invite
    self.peer = peer
    state = isCaller ? .calling : .ringing
    sequence = UInt16(truncatingIfNeeded: dice.next())
    timestamp = UInt32(truncatingIfNeeded: dice.next())
    source = UInt32(truncatingIfNeeded: dice.next())
  }

  /// Where its sound comes in.
  var ear: SocketID { sound?.socket ?? socket }
  var ourTag: String { SIPText.tag(of: ours) }
  var theirTag: String { SIPText.tag(of: theirs) }
}

/// How a message leaves a phone.
enum Way: Equatable {
  case datagram(Endpoint)
  case stream(SocketID)
}

/// RTP as simulated phones write it.
enum Sound {
  static let size = 16

  /// Sound that says whose it is.
  static func packet(_ talk: Talk, tag: UInt8) -> [UInt8] {
    head(talk, marker: false, type: 8, at: talk.timestamp) + [0x51, 0x2A, tag, ~tag]
      + Array(repeating: 0xD5, count: size - 4)
  }

  /// Who speaks in a packet; nil where it holds none of our sound.
  static func speaker(_ packet: [UInt8]) -> UInt8? {
    guard packet.count >= 16, packet[1] & 0x7F == 8, packet[12] == 0x51, packet[13] == 0x2A,
      packet[14] == ~packet[15]
    else { return nil }
    return packet[14]
  }

  /// One packet of a key press.
  static func key(
    _ talk: Talk, code: UInt8, duration: UInt16, isEnd: Bool, isFirst: Bool, at timestamp: UInt32
  )
    -> [UInt8]
  {
    head(talk, marker: isFirst, type: talk.sound?.keyType ?? 101, at: timestamp) + [
      code, (isEnd ? 0x80 : 0) | 10, UInt8(duration >> 8), UInt8(duration & 255),
    ]
  }

  private static func head(_ talk: Talk, marker: Bool, type: UInt8, at t: UInt32) -> [UInt8] {
    let s = talk.sequence
    let r = talk.source
    return [
      0x80, (marker ? 0x80 : 0) | type, UInt8(s >> 8), UInt8(s & 255), UInt8(t >> 24), UInt8(t >> 16 & 255),
      UInt8(t >> 8 & 255), UInt8(t & 255), UInt8(r >> 24), UInt8(r >> 16 & 255), UInt8(r >> 8 & 255),
      UInt8(r & 255),
    ]
  }

  static func code(of key: Character) -> UInt8 {
    switch key {
    case "*": 10
    case "#": 11
    default: UInt8(key.wholeNumberValue ?? 0)
    }
  }
}
