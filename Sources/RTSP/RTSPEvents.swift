package import Wire

/// What a client has to tell.
package enum RTSPEvent: Equatable, Sendable {
  /// What the camera offers. Setting up follows by itself.
  case described(RTSPPresentation)
  /// Datagrams were asked for: `offer` two neighbouring ports for this stream, or `leave`.
  case portsWanted(track: Int)
  /// A stream is set up.
  case ready(track: Int, RTSPCarriage)
  /// The camera says that it sends.
  case playing
  /// RTP that came on the connection, and where it lies in `input`.
  case packet(track: Int, Range<Int>)
  /// RTCP likewise.
  case control(track: Int, Range<Int>)
  /// Nothing more comes: close the connection.
  case ended(RTSPEnding)
}

/// How one stream comes to us.
package enum RTSPCarriage: Hashable, Sendable {
  case interleaved
  /// The ports that the server sends from and takes reports at, where it says so, and the address, where that is
  /// another than the connection's.
  case datagrams(media: UInt16?, control: UInt16?, source: IPAddress?)
}

/// How an attempt came to its end.
package enum RTSPEnding: Error, Hashable, Sendable {
  package enum Credentials: Hashable, Sendable {
    /// The camera wants a name and a password.
    case missing
    case wrong
    /// It offers no way that we know, or only one that would give the password away.
    case impossible
  }
  /// We took our leave.
  case left
  /// Media come by the other transport only.
  case otherTransport
  /// The camera is elsewhere.
  case moved(RTSPAddress)
  case credentials(Credentials)
  /// There is nothing at this path.
  case missing
  /// It has no place for another viewer now.
  case busy
  case refused(status: Int, reason: String)
  case presentation(PresentationFault)
  case malformed(RTSPFault)
  /// A request was not answered: its method.
  case silent(String)
  /// The camera no longer knows the session.
  case expired
  /// It closed the connection, or said that it will.
  case closed
}
