import Gateway
import MediaPlane
import SDP
import Testing

struct PlaneMediaTests {
  /// Calls say which way we may let a stream flow, the media plane what the peer does: a held panel listens.
  @Test func thePlaneIsToldWhatThePeerDoesWithAStream() {
    #expect(MediaDirection(facing: .sendrecv) == .sendReceive)
    #expect(MediaDirection(facing: .sendonly) == .receiveOnly)
    #expect(MediaDirection(facing: .recvonly) == .sendOnly)
    #expect(MediaDirection(facing: .inactive) == .inactive)
  }
}
