import Codecs
import Wire

enum PictureHarness {
  /// Small pictures: what is looked for is no matter of size.
  private static let most = 128 * 128

  /// Coded pictures of whoever: what comes out has the size that it says, and nothing else happens.
  static func decoder(_ bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    let coding: VideoDecoder.Coding = [.h264, .mjpeg, .vp8][Int(first) % 3]
    guard var decoder = try? VideoDecoder(coding, maximumPixels: most) else { return }
    var shown: Picture?
    var place = 1
    while place + 2 <= bytes.count {
      let length = Int(bytes[place]) << 8 | Int(bytes[place + 1])
      let end = min(bytes.count, place + 2 + length)
      let coded = Array(bytes[place + 2..<end])
      place = end
      let came = decoder.decode(coded.span, into: &shown)
      check(shown, came)
    }
    let came = decoder.finish(into: &shown)
    check(shown, came)
  }

  private static func check(_ shown: Picture?, _ came: Bool) {
    precondition(!came || shown != nil, "a picture that is none")
    guard let shown else { return }
    precondition(Picture.isSize(shown.width, shown.height), "a size that nobody takes")
    precondition(shown.width * shown.height <= most, "more pixels than were allowed")
    precondition(shown.bytes.count == shown.width * shown.height * 3 / 2, "a picture with a hole")
    _ = Pattern.read(shown)
  }

  /// Raw pixels, masks and sizes of whoever.
  static func pixels(_ bytes: [UInt8]) {
    var script = Script(bytes)
    func number(_ script: inout Script) -> Int {
      Int(Int16(truncatingIfNeeded: Int(script.byte()) << 8 | Int(script.byte())))
    }
    guard var picture = Picture(width: 2 * script.below(100), height: 2 * script.below(100)) else { return }
    while !script.isAtEnd {
      switch script.below(4) {
      case 0:
        let layout = script.pick(PixelLayout.allCases)
        let stride = number(&script)
        let raw = [UInt8](repeating: script.byte(), count: Int(script.byte()) << 8)
        let isRead = picture.read(raw.span, as: layout, stride: stride)
        precondition(!isRead || raw.count >= stride * picture.height, "pixels from nowhere")
      case 1:
        picture.fill(
          .init(x: number(&script), y: number(&script), width: number(&script), height: number(&script)),
          luma: script.byte(), u: script.byte(), v: script.byte())
      case 2:
        if var other = Picture(width: 2 * script.below(100), height: 2 * script.below(100)) {
          picture.scale(into: &other)
          picture = other
        }
      default: Pattern.draw(.init(number: number(&script), milliseconds: abs(number(&script))), on: &picture)
      }
    }
    precondition(picture.bytes.count == picture.width * picture.height * 3 / 2, "a picture with a hole")
  }

  /// Frames of AAC under a configuration of whoever.
  static func sound(_ bytes: [UInt8]) {
    var script = Script(bytes)
    guard let decoder = AACDecoder(config: script.slice()) else { return }
    while !script.isAtEnd {
      precondition(decoder.pcma(script.slice()).count <= 4096, "more sound than there is room for")
    }
  }
}
