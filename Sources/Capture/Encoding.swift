internal import Codecs
internal import RTP
internal import Wire

// One encoder of ours within what its viewers can take.
//
// Responsible for the stream's clock, its rate and its pace. Assumes pictures of one size, and times that do not go
// backwards.

struct Encoding: ~Copyable {
  /// An encoder that must be made anew for another rate, and then sends a key picture, is left at its rate for so long
  /// before it is given a higher one.
  static let calm = Interval.seconds(5)

  private var encoder: VideoEncoder
  private let mostBits: Int
  private let mostFrames: Int
  private(set) var framesPerSecond: Int
  private var origin: Instant?
  private var lastTime: Int64 = -1
  private var aimedAt: Instant?
  /// Before it, no picture is due.
  private var due: Instant?

  /// `bitsPerSecond`: the most it may take; nil for what suits size and rate.
  init(
    _ coding: VideoCoding, width: Int, height: Int, framesPerSecond: Int, bitsPerSecond: Int? = nil
  ) throws(VideoFault) {
    let usual = VideoSetting.usualBitRate(width: width, height: height, picturesPerSecond: framesPerSecond)
    mostBits = VideoSetting.bounded(bitsPerSecond ?? usual)
    mostFrames = max(1, framesPerSecond)
    self.framesPerSecond = mostFrames
    encoder = try VideoEncoder(
      VideoSetting(
        coding: coding, width: width, height: height, picturesPerSecond: mostFrames, bitsPerSecond: mostBits))
  }

  var interval: Interval { .nanoseconds(1_000_000_000 / Int64(framesPerSecond)) }

  /// Whether a picture taken at `captured` is wanted, or would be one too many; a source may be a little early.
  mutating func admits(_ captured: Instant) -> Bool {
    guard let due else {
      self.due = captured + interval
      return true
    }
    guard captured >= due - interval / 4 else { return false }
    // In step with what is asked for, unless the source has fallen behind.
    self.due = max(due + interval, captured + interval / 2)
    return true
  }

  mutating func limit(bitsPerSecond: Int, framesPerSecond: Int, now: Instant) throws(VideoFault) {
    self.framesPerSecond = min(mostFrames, max(1, framesPerSecond))
    // The encoder shares its rate out among the pictures that it was promised; when fewer come, each may have more.
    let bits = min(mostBits, max(VideoSetting.bitRates.lowerBound, bitsPerSecond))
    let aim = VideoSetting.bounded(bits * mostFrames / self.framesPerSecond)
    if !encoder.changesRate, aim > encoder.setting.bitsPerSecond, let last = aimedAt,
      now - last < Encoding.calm
    {
      return
    }
    if aim != encoder.setting.bitsPerSecond { aimedAt = now }
    try encoder.aim(bitsPerSecond: aim)
  }

  mutating func encode(
    _ picture: borrowing Picture, captured: Instant, asKey: Bool
  ) throws(VideoFault) -> [AccessUnit] {
    let start = origin ?? captured
    origin = start
    let time = max((captured - start).nanoseconds * 9 / 100_000, lastTime + 1)
    lastTime = time
    var units: [AccessUnit] = []
    for coded in try coded(picture, time, asKey) {
      let timestamp = UInt32(truncatingIfNeeded: coded.time)
      let taken = start + .nanoseconds(coded.time * 100_000 / 9)
      switch encoder.setting.coding {
      case .h264:
        guard let unit = AccessUnit(annexB: coded.bytes, timestamp: timestamp, captured: taken) else {
          continue
        }
        units.append(unit)
      case .vp8:
        units.append(
          AccessUnit(
            bytes: coded.bytes, units: [coded.bytes.indices], timestamp: timestamp, captured: taken,
            isKey: coded.isKey))
      }
    }
    return units
  }

  /// An encoder of the board that fails is replaced by the processor's: boards have few, and lose some.
  private mutating func coded(
    _ picture: borrowing Picture, _ time: Int64, _ asKey: Bool
  ) throws(VideoFault) -> [CodedPicture] {
    guard encoder.isBoard else { return try encoder.encode(picture, time: time, asKey: asKey) }
    do throws(VideoFault) {
      return try encoder.encode(picture, time: time, asKey: asKey)
    } catch {
      var setting = encoder.setting
      setting.mayUseBoard = false
      encoder = try VideoEncoder(setting)
      return try encoder.encode(picture, time: time, asKey: true)
    }
  }
}
