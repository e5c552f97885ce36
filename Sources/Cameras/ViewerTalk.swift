package import Directory
package import MediaPlane
package import Web
package import WebRTC
package import Wire

/// A conversation with the door that a viewer's offer began.
package struct Talk {
  package var call: String
  /// Names its leg: 128 random bits.
  package var name: String
  package var leg: LegID
  package var tag: String
  /// The answer.
  package var description: [UInt8]
  /// Candidates; what came of them, and the tag that counts from now on.
  package var trickle: (_ fragment: [UInt8], _ then: @escaping (SeatTrickle, _ tag: String?) -> Void) -> Void
  package var hangUp: () -> Void

  package init(
    call: String, name: String, leg: LegID, tag: String, description: [UInt8],
    trickle: @escaping (_ fragment: [UInt8], _ then: @escaping (SeatTrickle, _ tag: String?) -> Void) -> Void,
    hangUp: @escaping () -> Void
  ) {
    self.call = call
    self.name = name
    self.leg = leg
    self.tag = tag
    self.description = description
    self.trickle = trickle
    self.hangUp = hangUp
  }
}

/// An offer in which a viewer wants to be heard as well.
package struct ViewerOffer {
  package var camera: CameraID
  package var viewer: Viewer
  package var address: IPAddress?
  package var offer: [UInt8]
  package var engine: ViewerEngine
  package var answer: (WebReply) -> Void
}
