package import RTP

/// Turns the H.264 of a camera into VP8, for browsers that read nothing else.
package protocol Transcoder: AnyObject {
  /// Hands in the next pictures; never waits. The first of all must be a key picture. Of several only the newest comes out:
  /// the others lead up to it.
  func push(_ pictures: [AccessUnit]) -> TranscoderIntake
  /// Wants a key picture among what comes out, soon.
  func requestKeyFrame()
  /// How many bits and pictures a second the viewers can take.
  func limit(bitsPerSecond: Int, framesPerSecond: Int)
  func stop()
}

package enum TranscoderIntake: Hashable, Sendable {
  case taken
  /// It cannot be used, nor any before the next key picture: ask the source for one.
  case wantsKey
}

package enum TranscoderNews: Sendable {
  /// The size of what comes; before the first picture, and again when it changes.
  case began(width: Int, height: Int)
  /// VP8.
  case picture(AccessUnit)
  /// What came could not be decoded: ask the source for a key picture.
  case wantsKey
  /// What it takes: seconds of a core for a second of pictures, measured over the last one.
  case load(Double)
  /// It ended by itself.
  case ended(SourceFault)
}

package struct TranscoderSetting: Hashable, Sendable {
  /// Wider pictures are scaled down: VP8 has no help of the board.
  package var widest = 640
  package var framesPerSecond = 15
  package var bitsPerSecond = 600_000

  package init() {}
}

/// Makes transcoders: real in the daemon, where each has a thread of its own.
package protocol Transcoders: AnyObject {
  /// `hear` is called on the caller's thread, later, never before this returns, and no more after `stop` or `ended`.
  func openTranscoder(
    _ setting: TranscoderSetting, hear: @escaping (TranscoderNews) -> Void
  ) -> any Transcoder
}
