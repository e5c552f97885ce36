internal import API
internal import Calls
internal import Cameras
internal import Directory
internal import ICE
internal import Management
internal import MediaPlane
internal import SDP
internal import Web
internal import WebRTC
internal import Wire

// A viewer who speaks: the offer of one for whom the door rings is the answer to the call.

extension House {
  /// Answers the call that rings for a viewer. False when none does: then it only looks.
  func answerDoor(_ offer: ViewerOffer) -> Bool {
    let account = AccountName(offer.viewer.holder)
    guard !offer.viewer.isOperator, let format = cameras.status(of: offer.camera)?.format,
      let record = ringing(offer, account)
    else { return false }
    let id = record.id
    gateway.soon { [weak self] turn in
      guard let self else { return }
      let result = self.calls.answerPage(
        id, self.contact(offer, account), of: account, offer: offer.offer,
        making: { [weak self] in self?.media(for: $0, by: offer.engine, offer.camera, format) }, &turn)
      switch result {
      case .failure(let refusal):
        let problem = HouseOperations.problem(refusal)
        offer.answer(.problem(problem.status, problem.json))
      case .success(let answer):
        offer.answer(self.whep.enter(self.talk(answer, in: id, account), answering: offer))
      }
    }
    return true
  }

  /// The call of this camera's station that rings for the account, and that the viewer may answer.
  private func ringing(_ offer: ViewerOffer, _ account: AccountName) -> CallRecord? {
    calls.live.first { record in
      guard record.answered == nil, let station = record.station, record.visitor == station.rawValue,
        book.building.station(station)?.camera == offer.camera,
        offer.viewer.call == nil || offer.viewer.call == record.id.text
      else { return false }
      return record.legs.dropFirst().contains {
        $0.account == account.rawValue && ($0.state == .calling || $0.state == .ringing)
      }
    }
  }

  /// The device that answers: the page that rings, where it shows its own token, else whoever holds the ring's.
  private func contact(_ offer: ViewerOffer, _ account: AccountName) -> Contact {
    if let credential = offer.viewer.credential {
      return Presence.contact(
        DeviceScope(account: account, unit: book.building.unit(of: account), credential: credential),
        at: offer.address)
    }
    return Contact(
      id: "whep:\(offer.viewer.token ?? "")", destination: nil, address: offer.address, form: .webRTC)
  }

  private func media(
    for description: SessionDescription, by engine: ViewerEngine, _ camera: CameraID, _ format: SourceFormat
  ) -> (any LegDescriptions)? {
    let spec = PeerSpec(
      kinds: .audioAndVideo,
      mode: PlaneMedia.mode(
        gateway.configuration.media.ice, facing: description, hasServers: plane.hasServers),
      role: PeerConnection.isLite(description) ? .controlling : .controlled)
    guard let leg = try? plane.openPeer(spec) else { return nil }
    return ViewerDescriptions(leg, of: plane, screens, camera, format, engine)
  }

  private func talk(_ answer: PageAnswer, in call: CallName, _ account: AccountName) -> Talk {
    let leg = LegID(answer.media.handle)
    return Talk(
      call: call.text, name: answer.leg, leg: leg, tag: answer.tag, description: answer.description
    ) { [weak self] fragment, then in
      self?.gateway.soon { [weak self] turn in
        guard let self else { return }
        switch self.calls.trickle(call, leg: answer.leg, of: account, tag: "*", fragment, &turn) {
        case .success((.taken, let tag)): then(.taken, tag)
        case .success((.restarted(let ours), let tag)): then(.restarted(ours), tag)
        case .success((.malformed, _)), .success((.stale, _)):
          then(.refused("the fragment cannot be used"), nil)
        case .failure: then(.refused("the call is over"), nil)
        }
      }
    } hangUp: { [weak self] in
      self?.screens.forget(leg)
      self?.gateway.soon { [weak self] turn in
        _ = self?.calls.hangUpPage(call, leg: answer.leg, of: account, &turn)
      }
    }
  }
}
