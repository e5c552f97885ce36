package import Directory
package import ICE
package import MediaPlane
package import SDP
package import Web
package import WebRTC
package import Wire

/// The places from which a camera is looked at: a peer connection for each viewer.
package protocol ViewerSeats: AnyObject {
  /// Takes a viewer's offer, shows it the camera, and answers.
  func take(
    _ offer: SessionDescription, by engine: ViewerEngine, of camera: CameraID, _ format: SourceFormat
  ) -> Result<Seat, SeatRefusal>
  /// An offer of ours to a viewer whose own could not be taken; nil when there is no room.
  func propose(_ camera: CameraID, _ format: SourceFormat) -> Seat?
  /// The viewer's answer to what was proposed; the reason when it cannot be taken.
  func accept(_ answer: SessionDescription, on leg: LegID) -> SeatRefusal?
  func trickle(_ fragment: TrickleFragment, on leg: LegID) -> SeatTrickle
  /// Whether the viewer is there: it has a path, and its handshake is done.
  func isConnected(_ leg: LegID) -> Bool
  /// Says goodbye and gives the place up.
  func leave(_ leg: LegID)
}

/// A place that was taken, with what is to be said to the viewer.
package struct Seat: Hashable, Sendable {
  package var leg: LegID
  package var description: [UInt8]

  package init(leg: LegID, description: [UInt8]) {
    self.leg = leg
    self.description = description
  }
}

/// Why a description cannot be taken, with a sentence for people.
package enum SeatRefusal: Error, Hashable, Sendable {
  /// It breaks a rule.
  case malformed(String)
  /// It has no line for pictures.
  case noPicture
  /// The viewer can decode nothing of what the camera shows.
  case noCodec(String)
  case noRoom
}

/// What became of candidates.
package enum SeatTrickle: Hashable, Sendable {
  case taken
  /// ICE was restarted: the fragment that describes our side of it.
  case restarted([UInt8])
  /// Why it cannot be; everything is as it was.
  case refused(String)
}

/// Somebody who looks through a camera, and by what right.
package struct Viewer: Hashable, Sendable {
  /// The account; empty for operators.
  package var holder: String
  /// Its unit, whose accounts share the places there are.
  package var unit: UnitID?
  /// The call that gave the right; nil where it is the account's own.
  package var call: String?
  /// The token that was shown for it, where it was one for looking.
  package var token: String?
  /// The credential of the device, where it is known.
  package var credential: UInt64?
  /// When the token expires, where one was shown.
  package var until: Instant?

  package init(
    holder: String, unit: UnitID? = nil, call: String? = nil, token: String? = nil,
    credential: UInt64? = nil, until: Instant? = nil
  ) {
    self.holder = holder
    self.unit = unit
    self.call = call
    self.token = token
    self.credential = credential
    self.until = until
  }

  package var isOperator: Bool { holder.isEmpty }

  /// Whether two viewers share their places: those of one unit do, and those of one account without a unit.
  func isHousemate(of other: Viewer) -> Bool { unit == nil ? holder == other.holder : unit == other.unit }
}

package enum ViewRefusal: Error, Hashable, Sendable {
  case unknownCamera
  case notNow
}

/// Knows who may look.
package protocol ViewAuthority: AnyObject {
  /// Whoever was admitted, as a viewer of that camera. `token`: what it showed.
  func viewer(_ identity: WebIdentity, token: String?, of camera: CameraID) -> Result<Viewer, ViewRefusal>
  /// Whether the right is still good.
  func mayLook(_ viewer: Viewer, through camera: CameraID) -> Bool
  /// The same for a request to a session's own address that shows something; nil for what is no right of anybody.
  func whoShows(_ token: String, from peer: WebPeer) -> String?
}
