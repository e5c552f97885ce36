internal import Cameras
internal import Codecs
internal import RTP
internal import Reactor
internal import Wire

// H.264 in, VP8 out, on a thread of its own.
//
// It follows: when pictures come faster than they can be coded, all are decoded and only the newest is encoded; when even
// that is too slow the queue fills up, and everything is dropped until the next key picture.

enum TranscoderOrder: Sendable {
  case pictures([AccessUnit])
  case key
  case limit(bitsPerSecond: Int, framesPerSecond: Int)
  case stop
}

/// The loop's end.
final class RunningTranscoder: Transcoder {
  /// Pictures that may wait: two seconds of them, in which a long group before the newest is decoded.
  static let waiting = 50

  private let reactor: Reactor
  private var hear: ((TranscoderNews) -> Void)?
  private let orders = Mailbox<TranscoderOrder>(capacity: waiting + 5, isWaitedFor: false)
  private var ear: SocketID?
  /// Nothing is of use before the next key picture.
  private var isWaiting = true
  private var wantsKey = false
  private var limit: (bits: Int, frames: Int)?

  init(_ reactor: Reactor, _ hear: @escaping (TranscoderNews) -> Void) {
    self.reactor = reactor
    self.hear = hear
    let hasRoom = orders.reserve()
    precondition(hasRoom, "an empty mailbox had no room")
  }

  deinit { finish() }

  func begin(_ setting: TranscoderSetting) {
    let orders = orders
    let news = Mailbox<TranscoderNews>(capacity: 34, isWaitedFor: false)
    let hasRoom = news.reserve()
    precondition(hasRoom, "an empty mailbox had no room")
    do throws(NetworkFailure) {
      ear = try reactor.listen(to: news) { [weak self] batch in self?.heard(batch) }
    } catch { return fail(SourceFault(.refused, "too much is open on this machine: \(error)")) }
    let hasStarted = SideThread.start(named: "vestibule-vp8") {
      var loop = TranscoderLoop(setting, orders, news)
      loop.run()
    }
    guard hasStarted else {
      return fail(SourceFault(.refused, "the machine has no thread left for a transcoder"))
    }
  }

  private func fail(_ fault: SourceFault) {
    reactor.perform(on: .general) {
      fault
    } then: { [weak self] fault in
      self?.heard([.ended(fault)])
    }
  }

  private func heard(_ batch: [TranscoderNews]) {
    for news in batch {
      guard let hear else { return }
      switch news {
      case .ended: finish()
      case .wantsKey: isWaiting = true
      case .began, .picture, .load: break
      }
      hear(news)
    }
    send()
  }

  private func finish() {
    if hear != nil { orders.post(.stop) }
    hear = nil
    if let ear { reactor.close(ear, flushing: false) }
    ear = nil
  }

  private func send() {
    guard hear != nil else { return }
    if wantsKey, orders.reserve() {
      orders.post(.key)
      wantsKey = false
    }
    if let wanted = limit, orders.reserve() {
      orders.post(.limit(bitsPerSecond: wanted.bits, framesPerSecond: wanted.frames))
      limit = nil
    }
  }

  func push(_ pictures: [AccessUnit]) -> TranscoderIntake {
    guard hear != nil, let first = pictures.first else { return .taken }
    guard first.isKey || !isWaiting, orders.reserve() else {
      isWaiting = true
      return .wantsKey
    }
    isWaiting = false
    orders.post(.pictures(pictures))
    return .taken
  }

  func requestKeyFrame() {
    wantsKey = true
    send()
  }

  func limit(bitsPerSecond: Int, framesPerSecond: Int) {
    limit = (bitsPerSecond, framesPerSecond)
    send()
  }

  func stop() { finish() }
}

/// The thread's end.
private struct TranscoderLoop: ~Copyable {
  private let setting: TranscoderSetting
  private let orders: Mailbox<TranscoderOrder>
  private let news: Mailbox<TranscoderNews>
  private var encoding: Encoding?
  private var shown: Picture?
  private var small: Picture?
  private var wantsKey = true
  private var limit: (bits: Int, frames: Int)?
  /// What decoded last has been encoded.
  private var isTold = false
  private var isBroken = false
  /// From when on the load is measured: by the pictures' clock, and what the thread had used of the processor.
  private var measured: (captured: Instant, used: Interval)?

  init(
    _ setting: TranscoderSetting, _ orders: Mailbox<TranscoderOrder>, _ news: Mailbox<TranscoderNews>
  ) {
    self.setting = setting
    self.orders = orders
    self.news = news
  }

  mutating func run() {
    do throws(VideoFault) {
      try turn()
    } catch {
      news.post(.ended(SourceFault(.coding, "nothing can be made for browsers without H.264: \(error)")))
    }
  }

  private mutating func turn() throws(VideoFault) {
    var decoder = try VideoDecoder(.h264)
    var batch: [TranscoderOrder] = []
    while true {
      _ = SideThread.wait(for: orders.descriptor, until: nil)
      orders.take(into: &batch)
      var pictures: [AccessUnit] = []
      for order in batch {
        switch order {
        case .stop: return
        case .key: wantsKey = true
        case .limit(let bits, let frames): limit = (bits, frames)
        case .pictures(let next):
          // Whatever lies before a key picture is of no use any more.
          for picture in next {
            if picture.isKey { pictures.removeAll() }
            pictures.append(picture)
          }
        }
      }
      batch.removeAll()
      var captured: Instant?
      for picture in pictures {
        if picture.isKey { isBroken = false }
        if isBroken { continue }
        let bytes = picture.annexB
        if decoder.decode(bytes.span, into: &shown) {
          captured = picture.captured
        } else {
          // It may be a picture of a decoder's worth of delay: only what fails at a beginning is broken.
          isBroken = true
          tell(.wantsKey)
        }
      }
      if let captured {
        try encode(captured)
        measure(captured)
      }
    }
  }

  private mutating func encode(_ captured: Instant) throws(VideoFault) {
    guard let shown else { return }
    let width = min(shown.width, setting.widest) & ~1
    let height = max(16, shown.height * width / shown.width) & ~1
    if small?.width != width || small?.height != height {
      small = Picture(width: width, height: height)
      encoding = try Encoding(
        .vp8, width: width, height: height, framesPerSecond: setting.framesPerSecond,
        bitsPerSecond: setting.bitsPerSecond)
      isTold = false
    }
    guard encoding!.admits(captured) else { return }
    if let (bits, frames) = limit {
      limit = nil
      try encoding!.limit(bitsPerSecond: bits, framesPerSecond: frames, now: SideThread.now)
    }
    shown.scale(into: &small!)
    for unit in try encoding!.encode(small!, captured: captured, asKey: wantsKey) {
      wantsKey = wantsKey && !unit.isKey
      if !isTold { isTold = tell(.began(width: width, height: height)) }
      // After a picture that found no room, a decoder needs a key picture.
      if !isTold || !tell(.picture(unit)) { wantsKey = true }
    }
  }

  /// Tells once a second what all this takes.
  private mutating func measure(_ captured: Instant) {
    guard let (since, before) = measured, captured >= since, captured - since < .seconds(10) else {
      return measured = (captured, SideThread.used)
    }
    guard captured - since >= .seconds(1) else { return }
    let used = SideThread.used
    tell(.load(Double((used - before).nanoseconds) / Double((captured - since).nanoseconds)))
    measured = (captured, used)
  }

  @discardableResult private func tell(_ item: TranscoderNews) -> Bool {
    guard news.reserve() else { return false }
    news.post(item)
    return true
  }
}
