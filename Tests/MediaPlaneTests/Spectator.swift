import ICE
import MediaPlane
import RTP
import SDP
import Simulation
import Testing
import WebRTC
import Wire

/// A browser that looks, and what it sees, with every packet's number checked.
final class Spectator: Browser {
  let leg: LegID
  /// Packets of the picture, opened, in the order of their arrival.
  var packets: [(header: PacketHeader, bytes: [UInt8])] = []
  /// The same of sent again.
  var repairs: [(header: PacketHeader, bytes: [UInt8])] = []
  var controls: [[UInt8]] = []
  /// Chooses what is lost: the number of the datagram of media since the beginning.
  var loses: (Int) -> Bool = { _ in false }
  private var count = 0
  var isConnected: Bool { events.contains(.connected) }

  static let h264 = Format(
    payloadType: 102, encoding: "H264", clockRate: 90_000,
    parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
  static let vp8 = Format(payloadType: 96, encoding: "VP8", clockRate: 90_000)

  private let talks: Bool

  init(_ bench: Bench, number: UInt16 = 0, talks: Bool = false) throws {
    self.talks = talks
    leg = try bench.plane.openPeer(PeerSpec(kinds: .audioAndVideo))
    let place = Endpoint(IPAddress(v4: 0x0A00_0030), port: 6000 + number)
    super.init(bench, at: place, seed: 300 + UInt64(number)) { configuration in
      configuration.takesPictures = true
      configuration.repairSource = 0xB2
      configuration.videoExtensions = ExtensionIDs.Kind.allCases
      configuration.audioFeedback = ["nack"]
      configuration.videoFeedback = ["nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"]
    }
  }

  func offer(_ formats: [Format] = [Spectator.h264]) -> SessionDescription {
    step {
      $0.createOffer(
        audio: PeerMedia([.pcma], talks ? .sendrecv : .recvonly), video: PeerMedia(formats, .recvonly), &$1)
    }
  }

  /// Offers, is answered, and begins to look for a path.
  func ask(for feed: FeedID, _ formats: [Format] = [Spectator.h264]) throws {
    let answer = try bench.plane.answerViewer(leg, offer(formats), feed: feed, sound: .hears(.pcma))
    take(answer)
  }

  func take(_ answer: SessionDescription) {
    learn(answer)
    step { try? $0.setRemote(answer: answer, &$1) }
  }

  /// One packet of sound.
  func say(_ sequence: UInt16, _ payload: [UInt8]) { post(sealed(sequence, payload)) }

  /// Says something about what it sees.
  func report(_ write: (inout ControlWriter) -> Void) {
    var writer = ControlWriter()
    write(&writer)
    var room = [UInt8](repeating: 0, count: 1500)
    var span = room.mutableSpan
    let bytes = writer.bytes
    let length = connection.protectControl(bytes.span, into: &span, at: 0)
    #expect(length > 0)
    post(Array(room[0..<length]))
  }

  override func next() -> (bytes: [UInt8], from: Endpoint)? {
    while let datagram = super.next() {
      guard datagram.bytes[0] >> 6 == 2 else { return datagram }
      count += 1
      if !loses(count) { return datagram }
    }
    return nil
  }

  override func note(_ reading: PeerReading) {
    switch reading {
    case .nothing: break
    case .rtcp(let length): controls.append(Array(connection.plain[0..<length]))
    case .rtp(.audio, _): super.note(reading)
    case .rtp(.video, let length):
      let bytes = Array(connection.plain[0..<length])
      guard let header = try? PacketHeader(parsing: bytes.span) else { return }
      if let number = Spectator.transportNumber(header, bytes) {
        arrivals[number] = (bench.world.now, length + 16)
      }
      if header.payloadType == connection.terms(.video)?.repairs.values.first {
        repairs.append((header, bytes))
      } else {
        packets.append((header, bytes))
      }
    }
  }

  /// Up to here nothing is missing.
  private var whole = 0

  /// Puts what was sent again in its place (RFC 4588), and all in order.
  func mend() {
    guard !repairs.isEmpty else { return }
    for repair in repairs {
      let start = repair.header.payload.lowerBound
      guard repair.header.payload.count > 2 else { continue }
      let number = UInt16(repair.bytes[start]) << 8 | UInt16(repair.bytes[start + 1])
      let bytes = Array(repair.bytes[(start + 2)..<repair.header.payload.upperBound])
      let head = PacketHeader(
        payloadType: 102, sequence: number, timestamp: repair.header.timestamp, ssrc: 1,
        marker: repair.header.marker
      ).bytes
      let packet = (0..<12).map { head[$0] } + bytes
      if let header = try? PacketHeader(parsing: packet.span) { packets.append((header, packet)) }
    }
    repairs = []
    guard let first = packets.first?.header.sequence else { return }
    packets.sort {
      Int16(bitPattern: $0.header.sequence &- first) < Int16(bitPattern: $1.header.sequence &- first)
    }
    var known: Set<UInt16> = []
    packets.removeAll { !known.insert($0.header.sequence).inserted }
  }

  /// The numbers between the first and the last that are missing.
  func missing() -> [UInt16] {
    mend()
    var result: [UInt16] = []
    for index in packets.indices.dropFirst(whole + 1) {
      var number = packets[index - 1].header.sequence &+ 1
      if number == packets[index].header.sequence, result.isEmpty { whole = index - 1 }
      while number != packets[index].header.sequence {
        result.append(number)
        number &+= 1
      }
    }
    return result
  }

  /// The picture's source, as the answer said it.
  private(set) var ssrc: UInt32 = 0
  /// When each packet came, by its number across all.
  private var arrivals: [UInt16: (at: Instant, bytes: Int)] = [:]

  private func learn(_ answer: SessionDescription) {
    for line in answer.media where line.kind == .video {
      for attribute in line.attributes where attribute.name == "ssrc" {
        if let number = attribute.value?.split(separator: " ").first.flatMap({ UInt32($0) }), ssrc == 0 {
          ssrc = number
        }
      }
    }
  }

  private var reported: UInt16 = 0
  private var reports: UInt8 = 0

  /// Tells when what came since the last time would have come by a slower path; lost is what that makes nil.
  func tellArrivals(_ path: (Instant, Int) -> Instant?) {
    var times: [Int64?] = []
    let base = reported
    while let came = arrivals[reported] {
      times.append(path(came.at, came.bytes).map { $0.nanoseconds / 1000 / 250 * 250 })
      arrivals[reported] = nil
      reported &+= 1
    }
    guard !times.isEmpty else { return }
    reports &+= 1
    report {
      $0.arrivals(
        sender: 0xB1, media: ssrc, TransportFeedback(base: base, number: reports, arrivals: times))
    }
  }

  /// The transport-wide number of a packet.
  static func transportNumber(_ header: PacketHeader, _ bytes: [UInt8]) -> UInt16? {
    // Its extension stands first.
    let place = header.extensionData.lowerBound
    guard header.extensionData.count >= 4, bytes[place] & 0x0F == 1 else { return nil }
    return UInt16(bytes[place + 1]) << 8 | UInt16(bytes[place + 2])
  }

  /// Asks for what is missing.
  func complain() {
    let numbers = missing()
    let media = ssrc
    guard !numbers.isEmpty else { return }
    report {
      $0.receiverReport(ssrc: 0xB1, nil)
      $0.lost(sender: 0xB1, media: media, numbers)
    }
  }

  /// The pictures that its packets make, in the order of their numbers.
  func pictures() -> [AccessUnit] {
    var machine = H264Depacketizer()
    var result: [AccessUnit] = []
    for packet in packets {
      if let unit = machine.receive(
        header: packet.header, payload: packet.bytes.span.extracting(packet.header.payload),
        now: bench.world.now)
      {
        result.append(unit)
      }
    }
    #expect(machine.losses == 0)
    return result
  }

  /// Whether numbers follow one another and timestamps rise from picture to picture.
  func isGapless() -> Bool {
    for (before, after) in zip(packets, packets.dropFirst()) {
      if after.header.sequence != before.header.sequence &+ 1 { return false }
      let step = Int32(bitPattern: after.header.timestamp &- before.header.timestamp)
      if step < 0 || (step == 0) == before.header.marker { return false }
    }
    return true
  }
}

/// A camera that anyone can make: pictures told apart by their number.
struct PaperCamera {
  static let sps: [UInt8] = [
    0x67, 0x42, 0xC0, 0x1E, 0xD9, 0x00, 0xA0, 0x47, 0xFE, 0xC8,
  ]
  static let pps: [UInt8] = [0x68, 0xCE, 0x3C, 0x80]

  /// Pictures from one key picture to the next.
  var group = 10
  var keyBytes = 30_000
  var bytes = 6000
  private(set) var count = 0
  private var random = Random(seed: 5)

  init(group: Int = 10, keyBytes: Int = 30_000, bytes: Int = 6000) {
    self.group = group
    self.keyBytes = keyBytes
    self.bytes = bytes
  }

  mutating func next(at now: Instant, isKey wanted: Bool? = nil) -> AccessUnit {
    let isKey = wanted ?? (count % group == 0)
    var units = isKey ? [PaperCamera.sps, PaperCamera.pps] : []
    let length = isKey ? keyBytes : bytes
    // A whole slice of P or I, then the number, then noise.
    var slice: [UInt8] = isKey ? [0x65, 0x88] : [0x41, 0x9A]
    for shift in [24, 16, 8, 0] { slice.append(UInt8(truncatingIfNeeded: count >> shift)) }
    slice += [UInt8](repeating: UInt8(truncatingIfNeeded: count), count: max(0, length - slice.count))
    for place in stride(from: 6, to: slice.count, by: 97) {
      slice[place] = UInt8(truncatingIfNeeded: random.next())
    }
    units.append(slice)
    var all: [UInt8] = []
    var places: [Range<Int>] = []
    for unit in units {
      places.append(all.count..<all.count + unit.count)
      all += unit
    }
    count += 1
    return AccessUnit(
      bytes: all, units: places, timestamp: now.ticks(at: 90_000), captured: now, isKey: isKey)
  }
}

extension AccessUnit {
  /// The number that `PaperCamera` wrote.
  var number: Int {
    guard let slice = units.last, slice.count >= 6 else { return -1 }
    return (2..<6).reduce(0) { $0 << 8 | Int(bytes[slice.lowerBound + $1]) }
  }
  var parts: [[UInt8]] { units.map { Array(bytes[$0]) } }
}
