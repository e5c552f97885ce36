internal import API
internal import Calls
internal import Cameras
internal import Directory
internal import Doors
internal import HTTP
internal import ICE
internal import JSON
internal import Journal
internal import Management
internal import MediaPlane
internal import SIP
internal import Store
internal import Web
internal import Wire

// Cameras in the house: who is told when one begins or fails, when one is kept warm, and what is known of them.

extension House {
  private static let knowledge = "rtsp."

  /// Takes up the building's cameras, with what was learnt about them.
  func openCameras(_ stored: StoredState) {
    for name in stored.settings.keys.sorted() where name.hasPrefix(House.knowledge) {
      guard let text = stored.settings[name], !text.isEmpty else { continue }
      network.know(RTSPKnowledge(text: text), of: CameraID(String(name.dropFirst(House.knowledge.count))))
    }
    network.whenLearnt = { [weak self] camera, known in
      self?.gateway.keeper.commit([.setting(House.knowledge + camera.rawValue, known.text)])
    }
    network.decodeAAC()
    cameras.whenChanged = { [weak self] in self?.cameraChanged($0) }
    cameras.whenSoundChanged = { [weak self] in self?.soundChanged($0) }
    screens.whenKeyPicture = { [weak self] in self?.snapshots.keyPictureCame($0) }
    screens.whenKeyWanted = { [weak self] in self?.cameras.requestKeyFrame($0) }
    screens.whenLost = { [weak self] in _ = self?.whep.lost($0) }
    whep.whenOffered = { [weak self] in self?.answerDoor($0) ?? false }
    whep.servers = gateway.configuration.media.servers
    cameras.serve(book.building.cameras)
  }

  /// The directory is another one. What was learnt about a camera whose source changed is another camera's.
  func replaceCameras(from old: Building, to new: Building) {
    for camera in old.cameras {
      let now = new.camera(camera.id)
      if now?.source != camera.source { forget(camera.id) }
      if camera.substream != nil, now?.substream != camera.substream { forget(camera.id.substream) }
    }
    cameras.serve(new.cameras)
    whep.review()
  }

  private func forget(_ camera: CameraID) {
    network.forget(camera)
    gateway.keeper.commit([.setting(House.knowledge + camera.rawValue, "")])
  }

  // MARK: News

  private func cameraChanged(_ camera: CameraID) {
    whep.cameraChanged(camera)
    snapshots.cameraChanged(camera)
    guard let status = cameras.status(of: camera) else { return }
    switch status.state {
    case .idle, .starting: break
    case .live, .warm:
      guard troubled.contains(camera) else { return }
      troubled.removeAll { $0 == camera }
      gateway.log.write(
        .notice, "camera.back", "camera \(camera) shows again", ["camera": .text(camera.rawValue)])
      tell("camera.back", camera, nil)
    case .backingOff, .faulty:
      guard let fault = status.fault, !troubled.contains(camera) else { return }
      troubled.append(camera)
      gateway.log.write(
        .warning, "camera.lost", "camera \(camera): \(fault.text)",
        ["camera": .text(camera.rawValue), "reason": .text(fault.kind.rawValue)])
      tell("camera.lost", camera, fault)
    }
  }

  /// A microphone failed, or is heard again; the pictures go on.
  private func soundChanged(_ camera: CameraID) {
    guard let status = cameras.status(of: camera) else { return }
    if let fault = status.silence {
      gateway.log.write(
        .warning, "camera.silent", "camera \(camera): \(fault.text)",
        ["camera": .text(camera.rawValue), "reason": .text(fault.kind.rawValue)])
      tell("camera.silent", camera, fault)
    } else {
      gateway.log.write(
        .notice, "camera.heard", "camera \(camera) is heard again", ["camera": .text(camera.rawValue)])
      tell("camera.heard", camera, nil)
    }
  }

  private func tell(_ type: String, _ camera: CameraID, _ fault: SourceFault?) {
    gateway.feed.publish(
      type, at: world.wall,
      [
        JSONField("camera", .string(camera.rawValue)),
        JSONField("reason", .string(orNull: fault?.kind.rawValue)),
        JSONField("detail", .string(orNull: fault?.text)),
      ])
  }

  // MARK: Rings

  /// Cameras of stations that ring or talk are ready before anybody looks.
  func warmCameras() {
    for record in calls.live {
      guard let station = record.station, let camera = book.building.station(station)?.camera else {
        continue
      }
      cameras.warm(camera, for: record.id.text)
    }
  }

  /// A station began to talk, or ceased to: its camera, if it is one, is tried at once.
  func reviewPictures() {
    for camera in book.building.cameras {
      guard case .call(let station) = camera.source, calls.pictures(of: station) != nil else { continue }
      cameras.forgive(camera.id)
    }
    pictures.review()
  }

  /// A call is over: what was seen by it is not seen any more.
  func coolCameras(_ call: CallName) {
    whep.over(call.text)
    cameras.cool(call.text)
    whep.review()
  }
}

extension Configuration.Media {
  /// Servers for ICE as the values of Link, with their accounts: for viewers whose token was found good
  /// (RFC 9725 section 4.6).
  var servers: [String] {
    stun.map { "<stun:\($0.authority)>; rel=\"ice-server\"" }
      + turn.map { server in
        var link = "<turn:\(server.authority)?transport=udp>; rel=\"ice-server\""
        if let account = server.account {
          link += "; username=\(ASCII.quoted(account.username)); credential=\(ASCII.quoted(account.password))"
          link += "; credential-type=\"password\""
        }
        return link
      }
  }
}

// MARK: What is told of them

extension HouseOperations {
  func cameras() -> [CameraView] {
    let now = gateway.world.now
    return building.cameras.map { camera in
      let status = house.cameras.status(of: camera.id)
      let figures = house.cameras.figures(of: camera.id)
      return CameraView(
        id: camera.id.rawValue, source: camera.source.written, view: camera.view.rawValue,
        state: status?.state.rawValue ?? "unknown", reason: status?.fault?.kind.rawValue,
        detail: status?.fault?.text, retry: status?.retry.map { wall + ($0 - now) },
        size: status?.format.map { "\($0.width)x\($0.height)" },
        coding: status?.format.map { $0.coding == .vp8 ? "VP8" : "H264" },
        sound: status?.format?.sound.map { $0 == .pcma ? "PCMA" : "PCMU" }, silence: status?.silence?.text,
        viewers: house.whep.viewers(of: camera.id),
        firstPicture: figures?.firstPicture.map { Int($0.milliseconds) })
    }
  }

  /// A camera is well that shows, or that nobody has found failing.
  func isWell(_ camera: CameraID) -> Bool { house.cameras.status(of: camera)?.fault == nil }

  func countCameras() {
    let counters = gateway.counters
    for camera in house.cameras.cameras {
      guard let status = house.cameras.status(of: camera), let figures = house.cameras.figures(of: camera)
      else { continue }
      let name = camera.rawValue
      func gauge(_ what: String, _ help: String, _ value: Int) {
        counters.make("vestibule_camera_\(what)", .gauge, help: help, labels: ["camera": name])
          .set(Int64(value))
      }
      func count(_ what: String, _ help: String, _ value: Int) {
        counters.make("vestibule_camera_\(what)_total", help: help, labels: ["camera": name]).set(
          Int64(value))
      }
      gauge("shows", "1 while pictures come.", status.state.shows ? 1 : 0)
      gauge(
        "faulty", "1 while it gives no pictures though somebody wants them, or failed last.",
        status.fault == nil ? 0 : 1)
      gauge(
        "silent", "1 while its microphone gives no sound though somebody looks, or failed last.",
        status.silence == nil ? 0 : 1)
      count("silences", "Times that its microphone failed.", figures.silences)
      gauge("viewers", "WHEP sessions.", house.whep.viewers(of: camera))
      gauge(
        "substream_viewers", "Viewers who are shown the smaller stream.",
        house.screens.smallViewers(of: camera))
      count("pictures", "Pictures that came.", figures.pictures)
      count("key_pictures", "Pictures that a decoder can begin with.", figures.keyPictures)
      count("bytes", "Of coded pictures.", figures.bytes)
      count("openings", "Times that it was opened.", figures.openings)
      count("freezes", "Times that it stopped sending without saying so.", figures.freezes)
      gauge(
        "first_picture_milliseconds", "From the last opening to the first picture.",
        figures.firstPicture.map { Int($0.milliseconds) } ?? 0)
      for (kind, faults) in zip(SourceFault.Kind.allCases, figures.faults) where faults > 0 {
        counters.make(
          "vestibule_camera_faults_total", help: "Times that it failed, by why.",
          labels: ["camera": name, "reason": kind.rawValue]
        ).set(Int64(faults))
      }
    }
    counters.make("vestibule_snapshots_total", help: "Still pictures made.").set(
      Int64(house.snapshots.taken))
    counters.make("vestibule_snapshots_lost_total", help: "Still pictures that could not be kept.").set(
      Int64(house.album.failures))
    counters.make(
      "vestibule_snapshots_missed_total", help: "Moments of calls of which the camera gave no picture."
    ).set(Int64(house.album.missed))
    let figures = house.whep.figures
    counters.make("vestibule_whep_sessions", .gauge, help: "Viewers' sessions.").set(Int64(house.whep.count))
    for (result, value) in [
      ("opened", figures.opened), ("connected", figures.connected), ("unfinished", figures.unfinished),
      ("expired", figures.expired), ("lost", figures.lost), ("no_codec", figures.noCodec),
      ("not_live", figures.notLive), ("too_many", figures.tooMany),
    ] {
      counters.make(
        "vestibule_whep_total", help: "What became of viewers' sessions and requests.",
        labels: ["result": result]
      ).set(Int64(value))
    }
  }
}
