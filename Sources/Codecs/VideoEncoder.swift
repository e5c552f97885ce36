// Pictures to H.264 and VP8, through libavcodec.
//
// Tuned for a door: every picture leaves when it came (no B pictures, no look-ahead), key pictures come when they are
// asked for and otherwise seldom, and a burst is at most half a second's worth. H.264 is constrained baseline, which
// every browser decodes. The library is opened at first use; making an encoder may take as long as a slow disk, so
// that is for a thread that may wait.

internal import CAVCodec

/// Why pictures cannot be coded.
package enum VideoFault: Error, Hashable, Sendable {
  /// This machine lacks libavcodec, or its version is another than that of the build.
  case noLibrary
  /// The library has no such coder, or it refuses these numbers.
  case refused
  /// A picture of another size than the coder's, or of one that nobody takes.
  case size
  /// The coder failed at a picture.
  case failed
}

extension VideoFault: CustomStringConvertible {
  package var description: String {
    switch self {
    case .noLibrary: "libavcodec is not installed, or in another version than Vestibule was built for"
    case .refused: "this machine's libavcodec has no coder for it"
    case .size: "a picture of a size that cannot be coded"
    case .failed: "the coder failed"
    }
  }
}

/// The library behind pictures.
package enum VideoLibrary {
  /// Opens it. False when this machine has none that fits. May take as long as a slow disk.
  @discardableResult package static func prepare() -> Bool { vestibule_av_prepare() != 0 }
}

package enum VideoCoding: Hashable, Sendable { case h264, vp8 }

/// What an encoder is made for.
package struct VideoSetting: Hashable, Sendable {
  package static let rates = 1...60
  package static let bitRates = 40_000...20_000_000

  package var coding: VideoCoding
  package var width: Int
  package var height: Int
  package var picturesPerSecond: Int
  package var bitsPerSecond: Int
  /// Seconds between key pictures that nobody asked for.
  package var keyInterval = 20
  /// Whether an encoder of the board may be taken where there is one.
  package var mayUseBoard = true

  package init(
    coding: VideoCoding, width: Int, height: Int, picturesPerSecond: Int, bitsPerSecond: Int
  ) {
    self.coding = coding
    self.width = width
    self.height = height
    self.picturesPerSecond = min(
      max(picturesPerSecond, VideoSetting.rates.lowerBound), VideoSetting.rates.upperBound)
    self.bitsPerSecond = VideoSetting.bounded(bitsPerSecond)
  }

  package static func bounded(_ bitsPerSecond: Int) -> Int {
    min(max(bitsPerSecond, bitRates.lowerBound), bitRates.upperBound)
  }

  /// What shows a face at that size: a tenth of a bit for each pixel.
  package static func usualBitRate(width: Int, height: Int, picturesPerSecond: Int) -> Int {
    bounded(width * height * picturesPerSecond / 10)
  }
}

/// What an encoder makes of a picture.
package struct CodedPicture: Hashable, Sendable {
  /// H.264 with start codes, key pictures with their parameter sets; VP8 as one frame.
  package var bytes: [UInt8]
  /// The time that the picture was handed in with.
  package var time: Int64
  /// A decoder can begin here.
  package var isKey: Bool
}

@safe  // Owns `coder`; pictures are of its size, checked before each call.
package struct VideoEncoder: ~Copyable {
  package private(set) var setting: VideoSetting
  /// An encoder of the board rather than of the processor.
  package let isBoard: Bool
  private var coder: OpaquePointer
  private var parameters = ParameterMemory()

  package init(_ setting: VideoSetting) throws(VideoFault) {
    guard Picture.isSize(setting.width, setting.height) else { throw .size }
    guard VideoLibrary.prepare() else { throw .noLibrary }
    if setting.coding == .h264, setting.mayUseBoard,
      let made = unsafe VideoEncoder.make(setting, Int32(VESTIBULE_H264_BOARD))
    {
      isBoard = true
      unsafe coder = made
    } else {
      let coding = setting.coding == .h264 ? Int32(VESTIBULE_H264) : Int32(VESTIBULE_VP8)
      guard let made = unsafe VideoEncoder.make(setting, coding) else { throw .refused }
      isBoard = false
      unsafe coder = made
    }
    self.setting = setting
  }

  deinit { unsafe vestibule_encoder_free(coder) }

  private static func make(_ setting: VideoSetting, _ coding: Int32) -> OpaquePointer? {
    // A second core pays only where there are many pixels.
    let threads: Int32 = setting.width * setting.height > 640 * 480 ? 2 : 1
    return unsafe vestibule_encoder_make(
      vestibule_encoder_setting(
        coding: coding, width: Int32(setting.width), height: Int32(setting.height),
        pictures_per_second: Int32(setting.picturesPerSecond),
        bits_per_second: Int64(setting.bitsPerSecond),
        key_interval: Int32(setting.keyInterval * setting.picturesPerSecond), threads: threads, coarseness: 0)
    )
  }

  /// Whether another rate costs neither a new encoder nor a key picture.
  package var changesRate: Bool { setting.coding == .h264 && !isBoard }

  /// Codes one picture. `time`, on a clock of 90 kHz, must grow. What comes out: one picture as a rule; none, or one
  /// handed in before, from an encoder of the board.
  package mutating func encode(
    _ picture: borrowing Picture, time: Int64, asKey: Bool = false
  ) throws(VideoFault) -> [CodedPicture] {
    guard picture.width == setting.width, picture.height == setting.height else { throw .size }
    let coder = unsafe self.coder
    let outcome = unsafe picture.bytes.withUnsafeBufferPointer { input in
      guard let base = input.baseAddress else { return Int32(-1) }
      return unsafe vestibule_encoder_send(coder, base, time, asKey ? 1 : 0)
    }
    guard outcome == 0 else { throw .failed }
    var made: [CodedPicture] = []
    var length: Int32 = 0
    var stamp: Int64 = 0
    var isKey: Int32 = 0
    while let bytes = unsafe vestibule_encoder_next(coder, &length, &stamp, &isKey) {
      guard length > 0 else { continue }
      let copy = unsafe Array(UnsafeBufferPointer(start: bytes, count: Int(length)))
      var coded = CodedPicture(bytes: copy, time: stamp, isKey: isKey != 0)
      if setting.coding == .h264 { parameters.complete(&coded) }
      made.append(coded)
    }
    return made
  }

  /// Aims at another rate from the next picture on. An encoder that cannot change is made anew, and goes on with a
  /// key picture; for small changes it is left as it is.
  package mutating func aim(bitsPerSecond: Int) throws(VideoFault) {
    let wanted = VideoSetting.bounded(bitsPerSecond)
    guard wanted != setting.bitsPerSecond else { return }
    if unsafe vestibule_encoder_aim(coder, Int64(wanted)) != 0 {
      setting.bitsPerSecond = wanted
      return
    }
    guard abs(wanted - setting.bitsPerSecond) * 5 >= setting.bitsPerSecond else { return }
    var setting = setting
    setting.bitsPerSecond = wanted
    let coding =
      setting.coding == .vp8
      ? Int32(VESTIBULE_VP8) : isBoard ? Int32(VESTIBULE_H264_BOARD) : Int32(VESTIBULE_H264)
    guard let made = unsafe VideoEncoder.make(setting, coding) else { throw .refused }
    unsafe vestibule_encoder_free(coder)
    unsafe coder = made
    self.setting = setting
  }
}

/// Gives every key picture its parameter sets (ITU-T H.264 section 7.3.2): encoders of boards send them once, with
/// the first picture, and a viewer who comes later would never learn them. Drops what carries no picture.
struct ParameterMemory {
  private var sets: [UInt8] = []

  mutating func complete(_ picture: inout CodedPicture) {
    let stream = picture.bytes
    var own: [UInt8] = []
    var rest: [UInt8] = []
    rest.reserveCapacity(stream.count)
    for unit in NALUnits.ranges(in: stream) {
      switch stream[unit.lowerBound] & 0x1F {
      case 7, 8: own += [0, 0, 0, 1] + stream[unit]
      // Delimiters, the encoder's name and settings, padding.
      case 6, 9, 12: break
      default:
        rest += [0, 0, 0, 1]
        rest += stream[unit]
      }
    }
    if !own.isEmpty { sets = own }
    picture.bytes = picture.isKey ? sets + rest : own + rest
  }
}

/// Finds the NAL units of a byte stream (ITU-T H.264 annex B).
enum NALUnits {
  /// Where each lies, without start codes and the zeros that follow it.
  static func ranges(in stream: [UInt8]) -> [Range<Int>] {
    var found: [Range<Int>] = []
    var start: Int?
    var zeros = 0
    func end(at place: Int) {
      guard let start else { return }
      var last = place
      while last > start, stream[last - 1] == 0 { last -= 1 }
      if last > start { found.append(start..<last) }
    }
    for place in stream.indices {
      let byte = stream[place]
      if byte == 1, zeros >= 2 {
        end(at: place - zeros)
        start = place + 1
        zeros = 0
      } else {
        zeros = byte == 0 ? zeros + 1 : 0
      }
    }
    end(at: stream.count)
    return found
  }
}
