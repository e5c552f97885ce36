internal import Cameras
internal import Codecs
internal import Directory
internal import Reactor
internal import Wire

/// Draws the test picture at its pace until it is told to stop. Runs on a thread of its own.
struct PatternLoop {
  static func run(_ capture: Capture, orders: Mailbox<Order>, outlet: Outlet) {
    do throws(VideoFault) {
      try draw(capture, orders: orders, outlet: outlet)
    } catch {
      outlet.end(SourceFault(.coding, "the test picture cannot be shown: \(error)"))
    }
  }

  private static func draw(
    _ capture: Capture, orders: Mailbox<Order>, outlet: Outlet
  ) throws(VideoFault) {
    guard var picture = Picture(width: capture.width & ~1, height: capture.height & ~1) else { throw .size }
    var encoding = try Encoding(
      .h264, width: picture.width, height: picture.height, framesPerSecond: capture.framesPerSecond,
      bitsPerSecond: capture.bitRate.map { $0 * 1000 })
    outlet.begin(SourceFormat(coding: .h264, width: picture.width, height: picture.height, isOurs: true))
    let masks = capture.masks.map { $0.area(width: picture.width, height: picture.height) }
    var wishes = Wishes(orders)
    var due = SideThread.now
    var number = 0
    while true {
      let news = SideThread.wait(for: wishes.descriptor, until: due)
      if news.one { wishes.take() }
      if wishes.hasStopped { return }
      if let (bits, frames) = wishes.takeLimit() {
        try encoding.limit(bitsPerSecond: bits, framesPerSecond: frames, now: SideThread.now)
      }
      let now = SideThread.now
      guard now >= due else { continue }
      let wall = SideThread.wall
      Pattern.draw(
        .init(number: number, milliseconds: Int(wall.milliseconds % 86_400_000)), on: &picture)
      for area in masks { picture.fill(area, luma: 16) }
      number += 1
      let asKey = wishes.wantsKey || outlet.wantsKey
      wishes.wantsKey = false
      for unit in try encoding.encode(picture, captured: now, asKey: asKey) { outlet.post(unit) }
      // A machine that cannot keep up skips pictures and keeps its step.
      due = due + encoding.interval
      let behind = SideThread.now - due
      if behind > .zero {
        due = due + encoding.interval * (behind.nanoseconds / encoding.interval.nanoseconds)
      }
    }
  }
}

extension Capture.Mask {
  /// Where it lies in a picture of that size; never less than was asked for.
  func area(width: Int, height: Int) -> Picture.Area {
    let (left, top) = (width * x / 1000, height * y / 1000)
    let (right, bottom) = ((width * (x + self.width) + 999) / 1000, (height * (y + self.height) + 999) / 1000)
    return Picture.Area(x: left, y: top, width: right - left, height: bottom - top)
  }
}
