package import Crypto
package import ICE
package import RTP
package import SDP
package import Wire

/// The two streams of a connection.
package enum StreamKind: UInt8, Hashable, Sendable, CaseIterable {
  case audio, video

  /// As an `m=` line says it.
  package var media: MediaKind { self == .audio ? .audio : .video }
}

/// What a connection is made with.
package struct PeerConfiguration: Sendable {
  package var ice: ICEConfiguration
  /// Our sources: told in descriptions, and to be written into the headers.
  package var audioSource: UInt32
  package var videoSource: UInt32
  /// The canonical name in descriptions; nothing that names the building.
  package var canonicalName: String
  /// Feedback that we act on, as `rtcp-fb` writes it; said only where the peer offers it too.
  package var audioFeedback: [String] = []
  package var videoFeedback = ["nack pli", "ccm fir"]
  /// Under which source lost packets of the picture are sent again (RFC 4588), where the peer knows how; nil when they
  /// are not, or only as they were.
  package var repairSource: UInt32?
  /// Header extensions of the picture that we fill besides the mid; agreed on where the peer knows them too.
  package var videoExtensions: [ExtensionIDs.Kind] = []
  /// Whether a picture may be asked for. A browser's camera never is; another gateway's picture may be.
  package var takesPictures = false
  /// How long DTLS may take, from the first working path.
  package var handshakeLimit = Interval.seconds(30)

  package init(ice: ICEConfiguration, audioSource: UInt32, videoSource: UInt32, canonicalName: String) {
    self.ice = ice
    self.audioSource = audioSource
    self.videoSource = videoSource
    self.canonicalName = canonicalName
  }
}

/// What we want of one stream: formats, best first, and which way.
package struct PeerMedia: Sendable, Equatable {
  package var formats: [Format]
  package var direction: Direction

  package init(_ formats: [Format], _ direction: Direction) {
    self.formats = formats
    self.direction = direction
  }
}

/// What a datagram turned out to be.
package enum PeerReading: Hashable, Sendable {
  /// Dealt with, or dropped and counted.
  case nothing
  /// A packet of the peer: the first so many bytes of `PeerConnection.plain`.
  case rtp(StreamKind, length: Int)
  /// A compound of the peer, there too.
  case rtcp(length: Int)
}

/// What a connection's owner must know.
package enum PeerEvent: Hashable, Sendable {
  /// This flow proved to be the peer's: tell the demultiplexer.
  case validated(Flow)
  /// `localCredentials` are new: tell the demultiplexer.
  case restarted
  /// A candidate of ours that no description holds yet.
  case candidate(Candidate)
  /// No more candidates of ours will come.
  case gatheringDone
  /// There is a path, and keys of the peer that the description announced: media may flow. Again after another
  /// handshake, and after `disconnected`.
  case connected
  /// `path` is another one.
  case pathChanged
  /// Nothing was heard for a while.
  case disconnected
  /// It is over, unless a new description brings it back.
  case failed(PeerFailure)
  /// The peer said goodbye.
  case closed
}

package enum PeerFailure: Hashable, Sendable {
  /// No path works.
  case ice
  /// The peer is gone.
  case consent
  case dtls(DTLSFailure)
}

/// What was dropped, and why.
package struct PeerCounters: Hashable, Sendable {
  /// SRTP that came before there were keys.
  package var beforeKeys: UInt64 = 0
  /// Packets that the peer's keys do not open.
  package var forged: UInt64 = 0
  /// Packets that were here before.
  package var replayed: UInt64 = 0
  /// Packets of sources too many, or of a stream that was not negotiated.
  package var unknown: UInt64 = 0
  /// Opened, and no RTP.
  package var malformed: UInt64 = 0
  /// DTLS that nobody waits for, or too much of it.
  package var strayHandshakes: UInt64 = 0

  package init() {}
}

/// Why a description is refused.
package enum PeerRefusal: Error, Hashable, Sendable {
  /// No stream of it is DTLS-SRTP.
  case notWebRTC
  /// `ice-ufrag` or `ice-pwd` is missing or malformed.
  case noCredentials
  /// No fingerprint, or none of a hash that can be believed.
  case noFingerprint
  /// It wants RTCP on a port of its own.
  case noMux
  /// Nothing that both can speak.
  case noSharedCodec
  /// Of another ICE generation than the current one.
  case staleFragment
  /// An answer without an offer, or one that does not fit it.
  case unexpected

  /// A sentence that a page can show.
  package var reason: String {
    switch self {
    case .notWebRTC: "The description offers no encrypted media (UDP/TLS/RTP/SAVPF)."
    case .noCredentials: "The description lacks a usable ice-ufrag and ice-pwd."
    case .noFingerprint: "The description lacks a sha-256, sha-384 or sha-512 fingerprint."
    case .noMux: "The description wants RTCP on its own port; rtcp-mux is needed."
    case .noSharedCodec: "No codec is shared."
    case .staleFragment: "The candidates belong to an earlier ice-ufrag."
    case .unexpected: "The description does not fit what was offered."
    }
  }
}
