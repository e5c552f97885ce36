// H.264, VP8 and MJPEG to pictures, through libavcodec.
//
// What is decoded comes from capture devices and from cameras on the network, which may lie: sizes beyond our limit,
// kinds of colour that no camera of a door has, and pictures with holes are refused, and a stream may change its size
// whenever it likes.

internal import CAVCodec

@safe  // Owns `coder`; every picture is made of the size that the library told before it writes.
package struct VideoDecoder: ~Copyable {
  package enum Coding: Hashable, Sendable { case h264, vp8, mjpeg }

  /// The longest coded picture.
  package static let maximumBytes = 8 << 20

  private let coder: OpaquePointer

  package init(_ coding: Coding, maximumPixels: Int = Picture.maximumPixels) throws(VideoFault) {
    guard VideoLibrary.prepare() else { throw .noLibrary }
    let number =
      switch coding {
      case .h264: Int32(VESTIBULE_H264)
      case .vp8: Int32(VESTIBULE_VP8)
      case .mjpeg: Int32(VESTIBULE_JPEG)
      }
    guard let made = unsafe vestibule_decoder_make(number, Int64(maximumPixels)) else { throw .refused }
    unsafe coder = made
  }

  deinit { unsafe vestibule_decoder_free(coder) }

  /// Decodes one coded picture (H.264 with start codes) and writes what comes of it into `picture`, which is made
  /// anew when its size is another. False when nothing came: it was broken, or is held back.
  package mutating func decode(_ coded: Span<UInt8>, time: Int64 = 0, into picture: inout Picture?) -> Bool {
    guard !coded.isEmpty, coded.count <= VideoDecoder.maximumBytes else { return false }
    let coder = unsafe self.coder
    let outcome = unsafe coded.withUnsafeBufferPointer { input in
      guard let base = input.baseAddress else { return Int32(-1) }
      return unsafe vestibule_decoder_send(coder, base, Int32(input.count), time)
    }
    // What it holds is taken even then: else it would take nothing more.
    let came = take(&picture)
    return outcome == 0 && came
  }

  /// Says that nothing follows. True when the last picture had been held back and is in `picture` now.
  package mutating func finish(into picture: inout Picture?) -> Bool {
    unsafe vestibule_decoder_finish(coder)
    return take(&picture)
  }

  private mutating func take(_ picture: inout Picture?) -> Bool {
    var came = false
    var width: Int32 = 0
    var height: Int32 = 0
    var time: Int64 = 0
    // Of several, the newest counts.
    while true {
      let outcome = unsafe vestibule_decoder_next(coder, &width, &height, &time)
      if outcome == 0 { return came }
      came = false
      guard outcome > 0, Picture.isSize(Int(width), Int(height)) else { continue }
      if picture?.width != Int(width) || picture?.height != Int(height) {
        picture = Picture(width: Int(width), height: Int(height))
      }
      let coder = unsafe self.coder
      unsafe picture?.overwrite { base in unsafe vestibule_decoder_write(coder, base) }
      came = picture != nil
    }
  }
}
