// RTCP of every stream: our reports to each peer and theirs to us, and requests for key frames handed through.

internal import RTP
internal import Wire

extension Plane {
  /// At most two requests for a key frame a second go to one camera, however many ask.
  private static let keyFrameGap = Interval.milliseconds(500)

  func receiveControl(_ datagram: Span<UInt8>, _ stream: Stream, from remote: Endpoint) {
    let isWelcome =
      if let pinnedControl = stream.pinnedControl {
        remote == pinnedControl
      } else if let pinned = stream.pinned {
        remote.address == pinned.address
      } else {
        stream.allows(remote.address)
      }
    guard isWelcome, remote.port != 0 else {
      stream.figures.foreign += 1
      return
    }
    var reader = ControlReader()
    var isFirst = true
    do {
      while let packet = try reader.next(in: datagram) {
        if isFirst {
          isFirst = false
          guard takes(packet, stream, from: remote) else {
            stream.figures.foreign += 1
            return
          }
        }
        take(packet, stream)
      }
    } catch {
      stream.figures.malformed += 1
    }
  }

  /// Whether a compound that begins so comes from the stream's source; fixes who that is.
  private func takes(_ packet: ControlPacket, _ stream: Stream, from remote: Endpoint) -> Bool {
    let source: UInt32
    switch packet {
    case .senderReport(let ssrc, _, _), .receiverReport(let ssrc, _): source = ssrc
    case .pictureLoss(let sender, _), .fullIntra(let sender, _), .lost(let sender, _, _): source = sender
    case .arrivals(let sender, _), .estimate(let sender, _): source = sender
    case .description, .bye, .other: return false
    }
    if let controlSource = stream.controlSource {
      if controlSource != source { return false }
    } else if stream.pinned != nil, stream.pinnedSource != source {
      return false
    }
    stream.controlSource = source
    if stream.pinnedControl == nil { stream.pinnedControl = remote }
    return true
  }

  func take(_ packet: ControlPacket, _ stream: Stream) {
    switch packet {
    case .senderReport(let ssrc, let information, let blocks):
      guard ssrc == stream.controlSource else { return }
      if stream.pinned != nil, ssrc == stream.pinnedSource {
        stream.reception.heard(senderReport: information.ntp, at: world.now)
      }
      for block in blocks { take(block, stream) }
    case .receiverReport(let ssrc, let blocks):
      guard ssrc == stream.controlSource else { return }
      for block in blocks { take(block, stream) }
    case .pictureLoss(_, let media): passKeyFrameRequest(stream, about: media, fullIntra: false)
    case .fullIntra(_, let media): passKeyFrameRequest(stream, about: media, fullIntra: true)
    case .lost(_, let media, let numbers):
      guard media == stream.timeline.ssrc else { return }
      if let viewer = stream.viewer {
        repeatPackets(numbers, to: viewer)
      } else {
        repeatVoice(numbers, stream)
      }
    case .arrivals(_, let feedback):
      if let viewer = stream.viewer { take(feedback, from: viewer) }
    case .estimate(_, let bits):
      if let viewer = stream.viewer { take(estimate: bits, from: viewer) }
    case .description, .bye, .other: break
    }
  }

  private func take(_ block: ReportBlock, _ stream: Stream) {
    guard block.ssrc == stream.timeline.ssrc else { return }
    // Whoever makes this stream's sound repeats as much as is lost.
    for link in stream.heardFrom?.links ?? [] where link.sink === stream {
      link.path?.expectLoss(percent: Int(block.fractionLost) * 100 / 256)
    }
    stream.figures.remoteLost = Int64(block.lost)
    stream.figures.remoteJitter = .nanoseconds(
      Int64(block.jitter) * 1_000_000_000 / Int64(stream.timeline.clockRate))
    if let trip = block.roundTrip(at: world.now) { stream.figures.roundTrip = trip }
  }

  private func passKeyFrameRequest(_ viewer: Stream, about media: UInt32, fullIntra: Bool) {
    guard viewer.kind == .video, media == viewer.timeline.ssrc else { return }
    if let viewer = viewer.viewer { return replay(viewer) }
    guard let camera = viewer.heardFrom else { return }
    requestKeyFrame(camera, by: fullIntra ? .fullIntra : .pictureLoss)
  }

  /// How a key frame is asked for.
  enum KeyFrameRequest {
    /// RFC 4585 section 6.3.1.
    case pictureLoss
    /// RFC 5104 section 4.3.1.
    case fullIntra
    /// Of stations, which say of neither whether they know it.
    case both
  }

  /// Asks the sender of a video stream for a key frame.
  func requestKeyFrame(_ camera: Stream, by request: KeyFrameRequest) {
    guard camera.pinned != nil else { return }
    if let last = camera.lastKeyFrameRequest, world.now - last < Plane.keyFrameGap { return }
    camera.lastKeyFrameRequest = world.now
    control.removeAll()
    control.receiverReport(ssrc: camera.timeline.ssrc, nil)
    if request != .fullIntra {
      control.pictureLoss(sender: camera.timeline.ssrc, media: camera.pinnedSource)
    }
    if request != .pictureLoss {
      camera.fullIntraSequence &+= 1
      control.fullIntra(
        sender: camera.timeline.ssrc, media: camera.pinnedSource, sequence: camera.fullIntraSequence)
    }
    sendControl(camera)
  }

  /// A report is due.
  func report(_ stream: Stream) {
    // Between half and one and a half of the mean (RFC 3550 section 6.2).
    let mean = UInt64(max(1, reportInterval(of: stream).nanoseconds))
    let wait = Int64(mean / 2 + random.below(mean))
    stream.reportTimer = arm(.report, stream, at: world.now + .nanoseconds(wait))
    control.removeAll()
    writeReport(stream)
    sendControl(stream)
  }

  /// Whoever sees and hears brings both together by our reports: those must not be long in coming.
  private func reportInterval(of stream: Stream) -> Interval {
    guard case .peer(let peer) = stream.carrier, let viewer = peer.video?.viewer, viewer.feed.sound != nil
    else { return configuration.reportInterval }
    return min(.seconds(1), configuration.reportInterval)
  }

  func sendBye(_ stream: Stream) {
    guard stream.timeline.packets > 0 else { return }
    control.removeAll()
    writeReport(stream)
    control.bye(ssrc: stream.timeline.ssrc)
    sendControl(stream)
  }

  private func writeReport(_ stream: Stream) {
    let now = world.now
    let block =
      stream.pinned != nil && stream.reception.received > 0
      ? stream.reception.report(about: stream.pinnedSource, at: now) : nil
    let ssrc = stream.timeline.ssrc
    if stream.timeline.packets > stream.sentAtReport, let information = stream.timeline.information(at: now) {
      control.senderReport(ssrc: ssrc, information, block)
    } else {
      control.receiverReport(ssrc: ssrc, block)
    }
    stream.sentAtReport = stream.timeline.packets
    control.description(ssrc: ssrc, name: canonicalName)
  }

  func sendControl(_ stream: Stream) {
    guard let remote = stream.remote, let destination = stream.controlDestination else { return }
    let bytes = control.bytes
    switch stream.carrier {
    case .ports(let pair):
      world.send(
        bytes.span, on: remote.rtcpMux ? pair.rtp : pair.rtcp, to: destination, from: stream.source)
    case .peer(let peer): sendControl(bytes.span, by: peer)
    case nil: break
    }
  }
}
