/// What people and misfortunes must have done in some forty days, or the rules were held to nothing: names of the story
/// that `Ledger` keeps.
package enum Deeds {
  package static let expected = [
    "applied", "camera hurt", "cancelled", "clock jumped", "code pressed", "cut in a write", "device died",
    "dialled quiet", "disk full", "disturbed browsers", "dnd", "events read", "flooded", "forged", "guessed",
    "heard", "heard in a browser", "heard on a page", "held", "killed", "killed in a pulse", "log ban.set",
    "looked in vain", "looks", "moved", "opened by key", "opened by operator", "page answered",
    "page declined", "page enrolled", "page opens: opened", "page opens: refused", "page rang", "paged",
    "power lost", "pulse", "put through 202", "refused 486", "restarted ICE", "revoked in a call",
    "seen on a page", "sound lost", "sprayed",
  ]

  /// Those that nobody ever did.
  package static func missing(from story: [String: Int]) -> [String] {
    expected.filter { story[$0, default: 0] == 0 }
  }
}
