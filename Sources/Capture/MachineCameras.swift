package import Cameras
package import Devices
package import Directory
internal import RTP
package import Reactor
internal import Wire

// The cameras of this machine, each on a thread of its own, and transcoders likewise.
//
// Responsible for bringing what their threads make into the turns of one loop, within bounds, and for their end. Nothing
// runs while nothing is open. Belongs to the loop's thread; the threads share nothing with it but mailboxes.

package final class MachineCameras: LocalCameras, Transcoders {
  private let reactor: Reactor
  private let devices: any CaptureDevices

  package init(_ reactor: Reactor, devices: any CaptureDevices = VideoDevices()) {
    self.reactor = reactor
    self.devices = devices
  }

  package func open(
    _ camera: Camera, hear: @escaping (SourceNews) -> Void
  ) -> any CameraSource {
    let source = LocalSource(reactor, hear)
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
  private let reactor: Reactor
  private var hear: ((SourceNews) -> Void)?
  private var orders = OrderBook()
  private var ear: SocketID?

  init(_ reactor: Reactor, _ hear: @escaping (SourceNews) -> Void) {
    self.reactor = reactor
    self.hear = hear
  }

  deinit { finish() }

  func begin(_ run: @escaping @Sendable (Mailbox<Order>, Outlet) -> Void) {
    let news = Outlet.mailbox()
    let orders = orders.box
    do throws(NetworkFailure) {
      ear = try reactor.listen(to: news) { [weak self] batch in self?.heard(batch) }
    } catch { return fail(SourceFault(.refused, "too much is open on this machine: \(error)")) }
    guard SideThread.start(named: "vestibule-cam", { run(orders, Outlet(news)) }) else {
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
    }
    orders.send()
  }

  private func finish() {
    orders.stop()
    if let ear { reactor.close(ear, flushing: false) }
    ear = nil
    hear = nil
  }

  func requestKeyFrame() { orders.key() }

  func limit(bitsPerSecond: Int, framesPerSecond: Int) {
    orders.limit(bitsPerSecond: bitsPerSecond, framesPerSecond: framesPerSecond)
  }

  func stop() { finish() }
}
