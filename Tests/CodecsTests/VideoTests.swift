import Codecs
import Testing
import Wire

/// Pictures of a test pattern, as many as asked, drawn 40 ms apart.
private func patterns(_ count: Int, width: Int = 320, height: Int = 240, from: Int = 0) -> [Picture] {
  (from..<from + count).map { number in
    var picture = Picture(width: width, height: height)!
    Pattern.draw(.init(number: number, milliseconds: 43_200_000 + 40 * number), on: &picture)
    return picture
  }
}

private func setting(
  _ coding: VideoCoding = .h264, width: Int = 320, height: Int = 240, bitsPerSecond: Int = 400_000
) -> VideoSetting {
  var setting = VideoSetting(
    coding: coding, width: width, height: height, picturesPerSecond: 25, bitsPerSecond: bitsPerSecond)
  setting.mayUseBoard = false
  return setting
}

private func units(_ stream: [UInt8]) -> [UInt8] {
  var kinds: [UInt8] = []
  for place in 3..<stream.count where stream[place - 3..<place].elementsEqual([0, 0, 1]) {
    kinds.append(stream[place] & 0x1F)
  }
  return kinds
}

@Suite struct PatternTests {
  @Test func whatIsDrawnIsRead() {
    for (number, milliseconds) in [
      (0, 0), (1, 43_200_000), (268_435_455, 86_399_999), (0x555_5555, 0x2AA_AAAA),
    ] {
      for (width, height) in [
        (160, 96), (176, 144), (320, 240), (640, 480), (1280, 720), (1920, 1080), (642, 362),
      ] {
        var picture = Picture(width: width, height: height)!
        let reading = Pattern.Reading(number: number, milliseconds: milliseconds)
        Pattern.draw(reading, on: &picture)
        #expect(Pattern.read(picture) == reading, "\(width)x\(height)")
      }
    }
  }

  @Test func aPictureWithoutTheBlocksIsNotRead() {
    var picture = Picture(width: 320, height: 240)!
    #expect(Pattern.read(picture) == nil)
    picture.fill(.init(x: 0, y: 0, width: 320, height: 240), luma: 235)
    #expect(Pattern.read(picture) == nil)
    picture.fill(.init(x: 0, y: 0, width: 320, height: 240), luma: 126)
    #expect(Pattern.read(picture) == nil)
    #expect(Pattern.read(Picture(width: 16, height: 16)!) == nil)
  }

  @Test func oneWrongBlockIsNoticed() {
    for place in 0..<64 {
      var picture = patterns(1, from: 77)[0]
      let (x, y) = (place % 16 * 20, place / 16 * 15)
      let isLight = picture.luma(x: x + 10, y: y + 7) > 128
      picture.fill(.init(x: x, y: y, width: 20, height: 15), luma: isLight ? 16 : 235)
      #expect(Pattern.read(picture) == nil, "block \(place)")
    }
  }

  @Test func itIsReadAfterScaling() {
    let big = patterns(1, width: 1280, height: 720, from: 4711)[0]
    for (width, height) in [(640, 360), (960, 540), (320, 180), (1920, 1080), (702, 396)] {
      var small = Picture(width: width, height: height)!
      big.scale(into: &small)
      #expect(Pattern.read(small)?.number == 4711, "\(width)x\(height)")
    }
  }

  @Test func somethingMoves() {
    let pictures = patterns(2)
    var changed = 0
    for y in 120..<240 {
      for x in 0..<320 where pictures[0].luma(x: x, y: y) != pictures[1].luma(x: x, y: y) { changed += 1 }
    }
    #expect(changed > 500)
  }
}

@Suite struct PictureTests {
  @Test func sizesThatNobodyTakesAreRefused() {
    #expect(Picture(width: 15, height: 16) == nil)
    #expect(Picture(width: 17, height: 16) == nil)
    #expect(Picture(width: 4098, height: 16) == nil)
    #expect(Picture(width: 4096, height: 4096) == nil)
    #expect(Picture(width: -16, height: 16) == nil)
    #expect(Picture(width: 4096, height: 2304) != nil)
  }

  @Test func aMaskCoversWholePairsOfPixelsAndNoMore() {
    var picture = Picture(width: 32, height: 32)!
    picture.fill(.init(x: 0, y: 0, width: 32, height: 32), luma: 200)
    picture.fill(.init(x: 9, y: 9, width: 4, height: 2), luma: 16)
    for y in 0..<32 {
      for x in 0..<32 {
        #expect(picture.luma(x: x, y: y) == ((8..<14).contains(x) && (8..<12).contains(y) ? 16 : 200))
      }
    }
    // What lies outside is left out, however far.
    let before = picture
    picture.fill(.init(x: 40, y: 0, width: 10, height: 10), luma: 16)
    picture.fill(.init(x: .min, y: .min, width: 10, height: 10), luma: 16)
    picture.fill(.init(x: 0, y: 0, width: -4, height: 10), luma: 16)
    #expect(picture == before)
    picture.fill(.init(x: 30, y: 30, width: .max, height: .max), luma: 77)
    #expect(picture.luma(x: 31, y: 31) == 77)
  }

  @Test func everyRawLayoutBecomesTheSamePicture() {
    // Luma 0…255 along the line, U 60, V 200, lines with 8 bytes of padding.
    let (width, height) = (32, 16)
    func luma(_ x: Int, _ y: Int) -> UInt8 { UInt8(x * 7 + y) }
    var expected: Picture?
    for layout in PixelLayout.allCases {
      let stride = layout.line(width: width) + 8
      var raw = [UInt8](repeating: 0xEE, count: layout.bytes(width: width, height: height, stride: stride)!)
      for y in 0..<height {
        for x in 0..<width {
          switch layout {
          case .yuyv:
            raw[y * stride + 2 * x] = luma(x, y)
            raw[y * stride + 2 * x + 1] = x % 2 == 0 ? 60 : 200
          case .uyvy:
            raw[y * stride + 2 * x + 1] = luma(x, y)
            raw[y * stride + 2 * x] = x % 2 == 0 ? 60 : 200
          case .nv12, .nv21:
            raw[y * stride + x] = luma(x, y)
            let isU = (x % 2 == 0) == (layout == .nv12)
            if y < height / 2 { raw[(height + y) * stride + x] = isU ? 60 : 200 }
          case .i420, .yv12:
            raw[y * stride + x] = luma(x, y)
            guard x < width / 2, y < height / 2 else { continue }
            let first = height * stride + y * (stride / 2) + x
            let second = first + stride / 2 * (height / 2)
            raw[first] = layout == .i420 ? 60 : 200
            raw[second] = layout == .i420 ? 200 : 60
          }
        }
      }
      var picture = Picture(width: width, height: height)!
      let isRead = picture.read(raw.span, as: layout, stride: stride)
      #expect(isRead)
      #expect(picture.luma(x: 3, y: 5) == luma(3, 5))
      #expect(picture.bytes[width * height] == 60 && picture.bytes.last == 200, "\(layout)")
      if let expected { #expect(picture == expected, "\(layout)") } else { expected = picture }
      // A byte too few, or lines too short.
      raw.removeLast()
      for wrong in [stride, layout.line(width: width) - 1, .max] {
        let isRead = picture.read(raw.span, as: layout, stride: wrong)
        #expect(!isRead)
      }
    }
  }

  @Test func scalingKeepsAPlainPicturePlain() {
    var picture = Picture(width: 64, height: 48)!
    picture.fill(.init(x: 0, y: 0, width: 64, height: 48), luma: 99, u: 33, v: 222)
    for (width, height) in [(16, 16), (32, 24), (66, 50), (128, 96), (64, 48), (1000, 16)] {
      var other = Picture(width: width, height: height)!
      picture.scale(into: &other)
      #expect(other.bytes.prefix(width * height).allSatisfy { $0 == 99 })
      #expect(other.bytes.suffix(width * height / 4).allSatisfy { $0 == 222 })
    }
  }
}

@Suite struct VideoCodingTests {
  @Test(arguments: [VideoCoding.h264, .vp8])
  func whatIsEncodedIsDecodedWithItsNumber(_ coding: VideoCoding) throws {
    var encoder = try VideoEncoder(setting(coding))
    var decoder = try VideoDecoder(coding == .h264 ? .h264 : .vp8)
    var shown: Picture?
    for (number, picture) in patterns(60).enumerated() {
      let coded = try encoder.encode(picture, time: Int64(number) * 3600)
      #expect(coded.count == 1)
      #expect(coded.first?.time == Int64(number) * 3600)
      #expect(coded.first?.isKey == (number == 0))
      let bytes = coded[0].bytes
      let came = decoder.decode(bytes.span, into: &shown)
      #expect(came)
      #expect(
        shown.flatMap { Pattern.read($0) } == .init(number: number, milliseconds: 43_200_000 + 40 * number))
    }
  }

  @Test func everyKeyPictureCarriesItsParameterSets() throws {
    var encoder = try VideoEncoder(setting())
    for (number, picture) in patterns(40).enumerated() {
      let coded = try encoder.encode(picture, time: Int64(number) * 3600, asKey: number % 10 == 7)
      let kinds = units(coded[0].bytes)
      #expect(kinds == (number == 0 || number % 10 == 7 ? [7, 8, 5] : [1]), "\(number)")
    }
  }

  @Test func h264IsConstrainedBaseline() throws {
    var encoder = try VideoEncoder(setting())
    let coded = try encoder.encode(patterns(1)[0], time: 0)
    // Profile 66, constraint_set1: after the start code and the NAL unit's own byte.
    #expect(coded[0].bytes[4] & 0x1F == 7)
    #expect(coded[0].bytes[5] == 66)
    #expect(coded[0].bytes[6] & 0x40 != 0)
  }

  @Test(arguments: [VideoCoding.h264, .vp8])
  func aKeyPictureComesWhenItIsAskedFor(_ coding: VideoCoding) throws {
    var encoder = try VideoEncoder(setting(coding))
    var keys: [Int] = []
    for (number, picture) in patterns(50).enumerated() {
      let coded = try encoder.encode(
        picture, time: Int64(number) * 3600, asKey: [9, 10, 33].contains(number))
      if coded[0].isKey { keys.append(number) }
    }
    #expect(keys == [0, 9, 10, 33])
  }

  @Test(arguments: [VideoCoding.h264, .vp8])
  func aDecoderBeginsAtAnyKeyPicture(_ coding: VideoCoding) throws {
    var encoder = try VideoEncoder(setting(coding))
    var decoder = try VideoDecoder(coding == .h264 ? .h264 : .vp8)
    var shown: Picture?
    for (number, picture) in patterns(30).enumerated() {
      let coded = try encoder.encode(picture, time: Int64(number) * 3600, asKey: number == 20)
      guard number >= 20 else { continue }
      let bytes = coded[0].bytes
      let came = decoder.decode(bytes.span, into: &shown)
      #expect(came)
      #expect(shown.flatMap { Pattern.read($0) }?.number == number)
    }
  }

  @Test(arguments: [VideoCoding.h264, .vp8])
  func theRateIsKeptAndFollowsWhatIsAskedFor(_ coding: VideoCoding) throws {
    // Noise that no coder can foresee: it needs all the bits it can get.
    var random = Random(seed: 11)
    var encoder = try VideoEncoder(setting(coding, bitsPerSecond: 600_000))
    var picture = Picture(width: 320, height: 240)!
    var time: Int64 = 0
    func bytes(ofPictures count: Int) throws -> Int {
      var sum = 0
      for _ in 0..<count {
        for _ in 0..<30 {
          let (x, y) = (Int(random.below(320)), Int(random.below(240)))
          picture.fill(.init(x: x, y: y, width: 48, height: 48), luma: UInt8(16 + random.below(200)))
        }
        for coded in try encoder.encode(picture, time: time) { sum += coded.bytes.count }
        time += 3600
      }
      return sum
    }
    _ = try bytes(ofPictures: 25)
    // Two seconds each.
    let fast = try bytes(ofPictures: 50) * 4
    try encoder.aim(bitsPerSecond: 150_000)
    #expect(encoder.setting.bitsPerSecond == 150_000)
    _ = try bytes(ofPictures: 25)
    let slow = try bytes(ofPictures: 50) * 4
    #expect(fast < 750_000, "\(fast) bit/s")
    #expect(slow < 200_000, "\(slow) bit/s")
    #expect(slow * 3 < fast * 2, "\(slow) and \(fast) bit/s")
  }

  @Test func picturesOfAnotherSizeAreRefused() throws {
    var encoder = try VideoEncoder(setting())
    #expect(throws: VideoFault.size) { _ = try encoder.encode(Picture(width: 322, height: 240)!, time: 0) }
    for width in [321, 8, 5000] {
      #expect(throws: VideoFault.size) { _ = try VideoEncoder(setting(width: width)) }
    }
  }

  @Test func everyFaultIsASentence() {
    for fault in [VideoFault.noLibrary, .refused, .size, .failed] { #expect("\(fault)".contains(" ")) }
  }

  @Test func aPictureAsAFileIsReadAgain() throws {
    let picture = patterns(1, width: 640, height: 360, from: 1234)[0]
    let file = try JPEG.encode(picture)
    #expect(file.starts(with: [0xFF, 0xD8, 0xFF]))
    #expect(file.suffix(2) == [0xFF, 0xD9])
    var decoder = try VideoDecoder(.mjpeg)
    var shown: Picture?
    let came = decoder.decode(file.span, into: &shown)
    #expect(came)
    #expect(shown.flatMap { Pattern.read($0) }?.number == 1234)
    // The range goes out and comes back: white stays white, and the colours of the bars stay theirs.
    #expect(abs(Int(shown!.bytes[640 * 360 * 5 / 4]) - Int(picture.bytes[640 * 360 * 5 / 4])) < 6)
    let coarse = try JPEG.encode(picture, coarseness: 31)
    #expect(coarse.count < file.count)
    #expect(try JPEG.encode(picture, coarseness: 400) == coarse)
  }

  @Test func picturesBeyondTheLimitAreNotDecoded() throws {
    let file = try JPEG.encode(patterns(1, width: 640, height: 360)[0])
    var decoder = try VideoDecoder(.mjpeg, maximumPixels: 640 * 359)
    var shown: Picture?
    let came = decoder.decode(file.span, into: &shown)
    #expect(!came)
    #expect(shown == nil)
  }

  @Test func aStreamMayChangeItsSize() throws {
    var decoder = try VideoDecoder(.h264)
    var shown: Picture?
    for (width, height) in [(320, 240), (640, 480), (160, 96)] {
      var encoder = try VideoEncoder(setting(width: width, height: height))
      for (number, picture) in patterns(3, width: width, height: height).enumerated() {
        let coded = try encoder.encode(picture, time: Int64(number) * 3600)
        let bytes = coded[0].bytes
        let came = decoder.decode(bytes.span, into: &shown)
        #expect(came)
        #expect(shown?.width == width)
        #expect(shown.flatMap { Pattern.read($0) }?.number == number)
      }
    }
  }
}

@Suite struct DamagedVideoTests {
  @Test(arguments: [VideoDecoder.Coding.h264, .vp8, .mjpeg])
  func damageNeverDoesMoreThanCostPictures(_ coding: VideoDecoder.Coding) throws {
    var coded: [[UInt8]] = []
    if coding == .mjpeg {
      coded = try patterns(6).map { picture throws in try JPEG.encode(picture) }
    } else {
      var encoder = try VideoEncoder(setting(coding == .h264 ? .h264 : .vp8))
      for (number, picture) in patterns(12).enumerated() {
        coded += try encoder.encode(picture, time: Int64(number) * 3600, asKey: number == 6).map(\.bytes)
      }
    }
    var random = Random(seed: (5, 6, 7, UInt64(coded.count)))
    var decoder = try VideoDecoder(coding, maximumPixels: 1 << 20)
    var shown: Picture?
    for round in 0..<60 {
      for whole in coded {
        var damaged = whole
        switch round % 4 {
        case 0:
          for _ in 0..<1 + random.below(20) {
            damaged[Int(random.below(UInt64(damaged.count)))] = UInt8(random.below(256))
          }
        case 1: damaged.removeLast(Int(random.below(UInt64(damaged.count))))
        case 2: damaged.removeFirst(Int(random.below(UInt64(damaged.count))))
        default: damaged = damaged.map { _ in UInt8(random.below(256)) }
        }
        _ = decoder.decode(damaged.span, into: &shown)
        if let shown { #expect(shown.bytes.count == shown.width * shown.height * 3 / 2) }
      }
    }
    // And it still decodes what is whole.
    var last: Picture?
    for whole in coded { _ = decoder.decode(whole.span, into: &last) }
    #expect(last.flatMap { Pattern.read($0) }?.number == coded.count - 1)
  }
}
