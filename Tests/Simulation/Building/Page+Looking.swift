import Simulation
import Wire

// What a page sees of the door: it looks through the camera of whoever rings, with the token that the event brought.

/// One look, from the offer to its end.
final class Look {
  let call: String
  let picture: BrowserPicture
  var location = ""
  /// Since when it has no right to see anything any more, as far as it was told.
  var over: Instant?

  init(_ call: String, _ picture: BrowserPicture) {
    self.call = call
    self.picture = picture
  }
}

extension Page {
  /// Packets that left before the right ended may still be under way.
  private static let grace = Interval.seconds(3)

  /// Somebody rings who can be seen.
  func mayLook(_ call: String, whep: String, token: String) {
    guard !looks.contains(where: { $0.call == call }), chance(60) else { return }
    let path = "/" + whep.split(separator: "/").dropFirst(2).joined(separator: "/")
    after(drawn(50, 1500)) { $0.look(call, path, token, triesLeft: 2) }
  }

  private func look(_ call: String, _ path: String, _ token: String, triesLeft: Int) {
    guard !looks.contains(where: { $0.call == call }), ringing.contains(where: { $0.call == call }),
      let picture = BrowserPicture(world, tag: profile.tag, &dice)
    else { return }
    let look = Look(call, picture)
    looks.append(look)
    ask(
      "POST", path, type: "application/sdp", headers: ["Authorization: Bearer \(token)"],
      body: picture.offer()
    ) { [weak self, weak look] answer in
      guard let self, let look, self.looks.contains(where: { $0 === look }) else { return }
      guard let answer, answer.status == 201 else {
        self.end(look)
        self.ledger.count("looked in vain")
        switch answer?.status {
        case nil, 401?, 403?, 429?, 503?: return
        case 409?:
          guard triesLeft > 0 else { return }
          return self.after(.seconds(1)) { $0.look(call, path, token, triesLeft: triesLeft - 1) }
        default: return self.ledger.breach("browsers can read it", "a look is answered \(answer!.status)")
        }
      }
      look.location = answer.text["location"]
      guard look.picture.settle(answer: answer.text.body), look.location.hasPrefix(path + "/") else {
        self.ledger.breach("browsers can read it", "\(self.username) cannot take the answer to its look")
        return self.end(look)
      }
      self.ledger.count("looks")
      guard self.chance(40) else { return }
      self.after(self.drawn(1000, 12_000)) { [weak look] page in
        guard let look, page.looks.contains(where: { $0 === look }) else { return }
        let place = look.location
        page.end(look)
        page.ask("DELETE", place) { _ in }
      }
    }
  }

  private func end(_ look: Look) {
    guard let place = looks.firstIndex(where: { $0 === look }) else { return }
    looks.remove(at: place)
    look.picture.close()
  }

  /// It was told that the right to see this caller is over.
  func seesNoMore(of call: String) {
    for look in looks where look.call == call && look.over == nil {
      look.over = world.now
      after(Page.grace + .seconds(4)) { [weak look] page in if let look { page.end(look) } }
    }
  }

  /// A datagram of a look; false when it is for something else.
  func see(_ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint) -> Bool {
    guard let look = looks.first(where: { $0.picture.socket == socket }) else { return false }
    if look.picture.receive(datagram, from: remote) {
      if look.picture.pictures == 1 { ledger.count("seen on a page") }
      if let over = look.over, world.now - over > Page.grace {
        ledger.breach("nobody sees longer than it may", "\(username) sees who rang in \(look.call)")
        look.over = nil
      }
    }
    if look.picture.isLost { end(look) }
    return true
  }

  func advanceLooks() {
    for look in looks {
      look.picture.advance()
      if look.picture.isLost { end(look) }
    }
  }
}
