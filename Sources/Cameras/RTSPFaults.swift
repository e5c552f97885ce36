internal import Crypto
internal import RTSP
internal import Transport
internal import Wire

// What went wrong with a network camera, in words that help whoever has to set it right. They name no password.

extension RTSPSource {
  static func fault(_ ending: RTSPEnding, _ address: RTSPAddress) -> SourceFault {
    switch ending {
    case .credentials(.missing):
      SourceFault(.credentials, "the camera wants a user name and a password: none are configured")
    case .credentials(.wrong): SourceFault(.credentials, "the camera refuses the user name or the password")
    case .credentials(.impossible):
      SourceFault(.credentials, "the camera offers no way to log in that is known and safe here")
    case .missing:
      SourceFault(.missing, "the camera has nothing at \(address.path.isEmpty ? "/" : address.path)")
    case .busy: SourceFault(.refused, "the camera has no place for another viewer")
    case .refused(let status, let reason):
      SourceFault(.refused, "the camera refuses: \(status) \(RTSPSource.printable(reason))")
    case .presentation(.noVideo): SourceFault(.coding, "the camera offers no pictures at this address")
    case .presentation(.coding(let name)):
      SourceFault(
        .coding, "the camera sends \(RTSPSource.printable(name)), which browsers do not show: set it to H.264"
      )
    case .presentation(.malformed): SourceFault(.malformed, "the camera's description cannot be read")
    case .malformed(.endlessHead): SourceFault(.malformed, "the camera's answer has headers without end")
    case .malformed(.malformedHead): SourceFault(.malformed, "the camera's answer cannot be read")
    case .malformed(.bodyTooLong): SourceFault(.malformed, "the camera's answer is longer than anyone needs")
    case .malformed(.junk): SourceFault(.malformed, "what answers at \(address.host) does not speak RTSP")
    case .silent(let method): SourceFault(.unreachable, "the camera does not answer \(method)")
    case .expired: SourceFault(.gone, "the camera has forgotten the session")
    case .closed, .left: SourceFault(.gone, "the camera ended the session")
    case .otherTransport: SourceFault(.refused, "the camera changed its mind about how its media come")
    case .moved: SourceFault(.gone, "the camera went elsewhere")
    }
  }

  static func fault(_ ending: StreamEnding, _ address: RTSPAddress) -> SourceFault {
    let place = "\(address.host):\(address.port)"
    return switch ending {
    case .finished: SourceFault(.gone, "the camera closed the connection")
    case .network(.refused): SourceFault(.unreachable, "nothing listens at \(place)")
    case .network(.reset): SourceFault(.gone, "the camera broke the connection")
    case .network(let failure): SourceFault(.unreachable, "no connection to \(place): \(failure)")
    case .security(.fingerprintMismatch(let seen)):
      SourceFault(
        .certificate,
        "the camera shows another certificate than before (SHA-256 \(ASCII.hex(seen))): was it replaced?")
    case .security(let failure): SourceFault(.certificate, "no TLS with the camera: \(failure)")
    case .notEstablished: SourceFault(.unreachable, "\(place) does not answer")
    case .silent, .idle, .overdue, .stalled: SourceFault(.gone, "the connection to the camera stands still")
    }
  }

  /// Sound in an encoding that nobody here reads.
  static func fault(sound encoding: String) -> SourceFault {
    SourceFault(
      .coding,
      "the sound is \(RTSPSource.printable(encoding)), which nobody here reads: set it to G.711 or AAC")
  }

  static let unreadableAAC = SourceFault(
    .coding,
    "the camera's AAC cannot be read: its description is wrong, or libavcodec or libswresample is missing")

  /// A stranger's words, short and on one line.
  private static func printable(_ text: String) -> String {
    String(
      decoding: text.utf8.prefix(64).map { $0 >= 32 && $0 < 127 ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
  }
}
