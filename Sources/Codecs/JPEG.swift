// Pictures as files: what a snapshot is.

internal import CAVCodec

/// Baseline JPEG (ITU-T T.81), all 256 values, colour halved both ways: what every program shows.
package enum JPEG {
  /// From 1, the finest, to 31, the coarsest. At 4 a picture of 1280 by 720 takes about 150 kB.
  package static let coarseness = 1...31

  /// May take tens of milliseconds: a worker's job.
  package static func encode(_ picture: Picture, coarseness: Int = 4) throws(VideoFault) -> [UInt8] {
    guard VideoLibrary.prepare() else { throw .noLibrary }
    let bounds = JPEG.coarseness
    let made = unsafe vestibule_encoder_make(
      vestibule_encoder_setting(
        coding: Int32(VESTIBULE_JPEG), width: Int32(picture.width), height: Int32(picture.height),
        pictures_per_second: 25, bits_per_second: 0, key_interval: 1, threads: 1,
        coarseness: Int32(min(max(coarseness, bounds.lowerBound), bounds.upperBound))))
    guard let coder = unsafe made else { throw .refused }
    defer { unsafe vestibule_encoder_free(coder) }
    var wide = picture
    wide.widen()
    let outcome = unsafe wide.bytes.withUnsafeBufferPointer { input in
      guard let base = input.baseAddress else { return Int32(-1) }
      return unsafe vestibule_encoder_send(coder, base, 0, 0)
    }
    var length: Int32 = 0
    var time: Int64 = 0
    var isKey: Int32 = 0
    guard outcome == 0, let bytes = unsafe vestibule_encoder_next(coder, &length, &time, &isKey), length > 0
    else { throw .failed }
    return unsafe Array(UnsafeBufferPointer(start: bytes, count: Int(length)))
  }
}
