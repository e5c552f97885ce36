package import Cameras
package import Devices
package import Directory
internal import RTP
package import Reactor
internal import Wire

// The cameras of this machine, each on a thread of its own, their microphones on others, and transcoders likewise.
//
// Responsible for bringing what their threads make into the turns of one loop, within bounds, and for their end. Nothing
// runs while nothing is open. Belongs to the loop's thread; the threads share nothing with it but mailboxes.

package final class MachineCameras: LocalCameras, Transcoders {
  private let reactor: Reactor
  private let devices: any CaptureDevices
  private let cards: any SoundCards

  package init(
    _ reactor: Reactor, devices: any CaptureDevices = VideoDevices(), cards: any SoundCards = ALSACards()
  ) {
    self.reactor = reactor
    self.devices = devices
    self.cards = cards
  }

  package func open(
    _ camera: Camera, hear: @escaping (SourceNews) -> Void
  ) -> any CameraSource {
    let source = LocalSource(reactor, hear)
    if let name = camera.microphone { source.microphone = (name, cards) }
    let (capture, devices) = (camera.capture, devices)
    switch camera.source {
    case .pattern:
      source.begin { orders, outlet in PatternLoop.run(capture, orders: orders, outlet: outlet) }
    case .v4l2(let path):
      source.begin { orders, outlet in
        DeviceLoop.run(path, capture, devices: devices, orders: orders, outlet: outlet)
      }
    case .rtsp, .call:
      source.fail(SourceFault(.refused, "\(camera.source.written) is no camera of this machine"))
    }
    return source
  }

  package func openTranscoder(
    _ setting: TranscoderSetting, hear: @escaping (TranscoderNews) -> Void
  ) -> any Transcoder {
    let transcoder = RunningTranscoder(reactor, hear)
    transcoder.begin(setting)
    return transcoder
  }
}

/// The loop's end of one camera's thread.
final class LocalSource: CameraSource {
  /// Packets of sound that may lie between the threads: more than a second.
  static let soundWaiting = 64

  private let reactor: Reactor
  private var hear: ((SourceNews) -> Void)?
  private var orders = OrderBook()
  private var ear: SocketID?
  /// What belongs to the pictures, and is opened with the first of them.
  var microphone: (name: String, cards: any SoundCards)?
  private var voiceOrders: OrderBook?
  private var voiceEar: SocketID?

  init(_ reactor: Reactor, _ hear: @escaping (SourceNews) -> Void) {
    self.reactor = reactor
    self.hear = hear
  }

  deinit { finish() }

  func begin(_ run: @escaping @Sendable (Mailbox<Order>, Outlet) -> Void) {
    let news = Outlet.mailbox()
    let orders = orders.box
    let sound: SourceFormat.Sound? = microphone == nil ? nil : .pcma
    do throws(NetworkFailure) {
      ear = try reactor.listen(to: news) { [weak self] batch in self?.heard(batch) }
    } catch { return fail(SourceFault(.refused, "too much is open on this machine: \(error)")) }
    guard SideThread.start(named: "vestibule-cam", { run(orders, Outlet(news, sound: sound)) }) else {
      return fail(SourceFault(.refused, "the machine has no thread left for a camera"))
    }
  }

  /// Tells of a fault later, never before `open` has returned.
  func fail(_ fault: SourceFault) {
    reactor.perform(on: .general) {
      fault
    } then: { [weak self] fault in
      self?.heard([.ended(fault)])
    }
  }

  private func heard(_ batch: [SourceNews]) {
    for news in batch {
      guard let hear else { return }
      if case .ended = news { finish() }
      hear(news)
      if case .began = news, self.hear != nil { listen() }
    }
    orders.send()
  }

  /// Begins to listen, once.
  private func listen() {
    guard voiceOrders == nil, let (name, cards) = microphone else { return }
    let book = OrderBook()
    let orders = book.box
    let news = Mailbox<SourceNews>(capacity: LocalSource.soundWaiting, isWaitedFor: false)
    voiceOrders = book
    do throws(NetworkFailure) {
      voiceEar = try reactor.listen(to: news) { [weak self] batch in self?.heard(batch) }
    } catch {
      hear?(.silent(SourceFault(.refused, "too much is open on this machine: \(error)")))
      return
    }
    let hasBegun = SideThread.start(named: "vestibule-mic") {
      var wishes = Wishes(orders)
      var microphone = Microphone(name, cards, now: SideThread.now)
      while !wishes.hasStopped {
        microphone.advance(at: SideThread.now) { told in
          guard news.reserve() else { return false }
          news.post(told)
          return true
        }
        let ready = SideThread.wait(
          for: wishes.descriptor, or: microphone.descriptor, until: microphone.deadline)
        if ready.one { wishes.take() }
      }
    }
    if !hasBegun {
      hear?(.silent(SourceFault(.refused, "the machine has no thread left for a microphone")))
    }
  }

  private func finish() {
    orders.stop()
    if let ear { reactor.close(ear, flushing: false) }
    ear = nil
    voiceOrders?.stop()
    if let voiceEar { reactor.close(voiceEar, flushing: false) }
    voiceEar = nil
    hear = nil
  }

  func requestKeyFrame() { orders.key() }

  func limit(bitsPerSecond: Int, framesPerSecond: Int) {
    orders.limit(bitsPerSecond: bitsPerSecond, framesPerSecond: framesPerSecond)
  }

  func stop() { finish() }
}
