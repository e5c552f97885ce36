import Glibc

/// Some seconds of a moving picture, coded once by ffmpeg as a door camera would: constrained baseline, one slice a
/// picture, a key picture every two seconds, no reordering.
struct CannedVideo {
  static let framesPerSecond = 25
  static let seconds = 8
  /// Payload of a packet: what browsers' peers commonly send.
  static let packetBytes = 1188

  /// The RTP payloads of each picture, in order.
  private(set) var pictures: [[[UInt8]]] = []
  /// Which picture a packet ends, by its last eight bytes: they survive any cutting into packets.
  private(set) var ends: [UInt64: Int] = [:]
  var bytes: Int { pictures.reduce(0) { $0 + $1.reduce(0) { $0 + $1.count } } }

  init(folder: String, width: Int = 1280, height: Int = 720, kilobits: Int = 2000) {
    let path = folder + "/canned.h264"
    let complaint = run(
      "ffmpeg -loglevel error -y -f lavfi -i testsrc2=size=\(width)x\(height):rate=\(CannedVideo.framesPerSecond) "
        + "-t \(CannedVideo.seconds) -vf noise=alls=6:allf=t -pix_fmt yuv420p -c:v libx264 -profile:v baseline -preset veryfast "
        + "-tune zerolatency -b:v \(kilobits)k -maxrate \(kilobits)k -bufsize \(kilobits / 2)k "
        + "-x264-params sliced-threads=0:keyint=50:min-keyint=50:scenecut=0:repeat-headers=1 -f h264 \(path) 2>&1"
    )
    guard complaint.isEmpty else { fail("ffmpeg made no video: \(complaint)") }
    var waiting: [[UInt8]] = []
    for unit in CannedVideo.units(of: file(path)) {
      let kind = unit[0] & 31
      waiting.append(unit)
      guard kind == 1 || kind == 5 else { continue }
      pictures.append(waiting.flatMap(CannedVideo.payloads))
      waiting.removeAll()
      guard let key = CannedVideo.end(of: unit.span), ends.updateValue(pictures.count - 1, forKey: key) == nil
      else { fail("two pictures end alike") }
    }
    guard pictures.count == CannedVideo.seconds * CannedVideo.framesPerSecond else {
      fail("\(pictures.count) pictures were coded")
    }
  }

  /// The last eight bytes of a payload as a number; nil when it is shorter.
  static func end(of payload: Span<UInt8>) -> UInt64? {
    guard payload.count >= 8 else { return nil }
    var value: UInt64 = 0
    for index in payload.count - 8..<payload.count { value = value << 8 | UInt64(payload[index]) }
    return value
  }

  /// The NAL units between the start codes of a byte stream.
  private static func units(of stream: [UInt8]) -> [[UInt8]] {
    var units: [[UInt8]] = []
    var start: Int?
    var place = 0
    func close(at end: Int) {
      guard let start else { return }
      var end = end
      while end > start, stream[end - 1] == 0 { end -= 1 }
      if end > start { units.append(Array(stream[start..<end])) }
    }
    while place + 3 <= stream.count {
      if stream[place] == 0, stream[place + 1] == 0, stream[place + 2] == 1 {
        close(at: place)
        start = place + 3
        place += 3
      } else {
        place += 1
      }
    }
    close(at: stream.count)
    return units
  }

  /// One NAL unit as payloads: whole, or cut into fragments (RFC 6184 section 5.8).
  private static func payloads(of unit: [UInt8]) -> [[UInt8]] {
    if unit.count <= packetBytes { return [unit] }
    var payloads: [[UInt8]] = []
    var place = 1
    while place < unit.count {
      let end = min(unit.count, place + packetBytes - 2)
      let flags: UInt8 = (place == 1 ? 0x80 : 0) | (end == unit.count ? 0x40 : 0)
      payloads.append([unit[0] & 0xE0 | 28, flags | unit[0] & 31] + unit[place..<end])
      place = end
    }
    return payloads
  }
}

private func file(_ path: String) -> [UInt8] {
  guard let file = unsafe fopen(path, "r") else { return [] }
  defer { unsafe fclose(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65_536)
  while true {
    let count = unsafe fread(&buffer, 1, buffer.count, file)
    if count == 0 { return bytes }
    bytes += buffer[..<count]
  }
}
