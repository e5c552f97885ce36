import ICE
import MediaPlane
import SDP
import Testing

@testable import Gateway

struct PlaneMediaTests {
  /// Calls say which way we may let a stream flow, the media plane what the peer does: a held panel listens.
  @Test func thePlaneIsToldWhatThePeerDoesWithAStream() {
    #expect(MediaDirection(facing: .sendrecv) == .sendReceive)
    #expect(MediaDirection(facing: .sendonly) == .receiveOnly)
    #expect(MediaDirection(facing: .recvonly) == .sendOnly)
    #expect(MediaDirection(facing: .inactive) == .inactive)
  }

  /// `media.ice`, who offers, and whether there are servers: full or lite.
  @Test(
    arguments: [
      (.auto, nil, false, .lite), (.auto, nil, true, .full), (.auto, "", false, .lite),
      (.auto, "", true, .full), (.auto, "a=ice-lite", false, .full), (.auto, "a=ice-lite", true, .full),
      (.full, nil, false, .full), (.full, nil, true, .full), (.full, "", false, .full),
      (.full, "", true, .full), (.full, "a=ice-lite", false, .full), (.full, "a=ice-lite", true, .full),
      (.lite, nil, false, .lite), (.lite, nil, true, .lite), (.lite, "", false, .lite),
      (.lite, "", true, .lite), (.lite, "a=ice-lite", false, .lite), (.lite, "a=ice-lite", true, .lite),
    ] as [(Configuration.ICE, String?, Bool, ICEMode)])
  func howICEIsDoneHangsOnTheConfigurationAndThePeer(
    ice: Configuration.ICE, offer: String?, hasServers: Bool, mode: ICEMode
  ) throws {
    let description = try offer.map { line in
      let head = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
      let text = (head + (line.isEmpty ? [] : [line])).joined(separator: "\r\n") + "\r\n"
      return try SessionDescription(parsing: Array(text.utf8))
    }
    #expect(PlaneMedia.mode(ice, facing: description, hasServers: hasServers) == mode)
  }
}
