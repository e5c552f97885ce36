internal import RTP
package import Wire

// A network camera with a main stream and a smaller one, as one source.
//
// Responsible for: changing over without a gap. The stream that is wanted is opened beside the one that is shown, and
// takes its place with its first key picture; until then nobody notices, and if that never comes nobody ever does.
// Assumes that the camera bears two sessions for a moment.
// Somebody else's: which stream is wanted (`StreamChoice`), and what viewers can carry (the media plane).

package final class SteppedSource: CameraSource {
  package typealias Opener = (StreamChoice.Stream, @escaping (SourceNews) -> Void) -> any CameraSource

  private final class Session {
    let stream: StreamChoice.Stream
    var source: (any CameraSource)?
    var format: SourceFormat?

    init(_ stream: StreamChoice.Stream) { self.stream = stream }
  }

  private let open: Opener
  private let hear: (SourceNews) -> Void
  private let clock: () -> Instant
  private var choice = StreamChoice()
  private var shown: Session?
  private var coming: Session?

  /// Opens the main stream. `open` keeps to what `CameraOpener` says.
  package init(_ open: @escaping Opener, clock: @escaping () -> Instant, hear: @escaping (SourceNews) -> Void)
  {
    self.open = open
    self.hear = hear
    self.clock = clock
    shown = begin(.main)
  }

  private func begin(_ stream: StreamChoice.Stream) -> Session {
    let session = Session(stream)
    session.source = open(stream) { [weak self, weak session] news in
      guard let self, let session else { return }
      if session === self.shown {
        self.heardShown(news)
      } else if session === self.coming {
        self.heardComing(news)
      }
    }
    return session
  }

  private func heardShown(_ news: SourceNews) {
    switch news {
    case .began, .sound: hear(news)
    case .picture(let picture):
      hear(news)
      // Whoever heard may have stopped us.
      guard let shown else { return }
      let wanted = choice.passed(picture.bytes.count, at: clock())
      if wanted != shown.stream {
        if coming == nil { coming = begin(wanted) }
      } else if let unwanted = coming {
        coming = nil
        unwanted.source?.stop()
      }
    case .ended:
      coming?.source?.stop()
      coming = nil
      shown = nil
      hear(news)
    }
  }

  private func heardComing(_ news: SourceNews) {
    switch news {
    case .began(let format): coming?.format = format
    case .sound: break
    case .picture(let picture):
      guard picture.isKey, let next = coming, let format = next.format else { return }
      let before = shown
      shown = next
      coming = nil
      choice.switched(at: clock())
      before?.source?.stop()
      hear(.began(format))
      hear(.picture(picture))
    case .ended:
      coming = nil
      choice.failed(at: clock())
    }
  }

  package func requestKeyFrame() { shown?.source?.requestKeyFrame() }

  package func limit(bitsPerSecond: Int, framesPerSecond: Int) {
    choice.limit(bitsPerSecond)
    shown?.source?.limit(bitsPerSecond: bitsPerSecond, framesPerSecond: framesPerSecond)
  }

  package func stop() {
    shown?.source?.stop()
    coming?.source?.stop()
    shown = nil
    coming = nil
  }
}
