extension Building {
  /// The directory file of `--demo`: two flats, a guard, one entrance whose door moves nothing.
  package static func demoFile(camera: String = "test:pattern") -> String {
    """
    {
      site:     { id: "lilas", name: "Résidence Les Lilas", address: "12 rue des Lilas", timezone: "Europe/Paris",
                  emergency: [{ number: "112", target: "guard" }] },
      building: { id: "bat-a", name: "Bâtiment A" },
      units: [
        { number: "401", name: "Martin", aliases: [], callWaiting: "ring", neighbours: false,
          accounts: [
            { username: "panel401",  kind: "panel"   },
            { username: "web401",    kind: "browser" },
            { username: "mobile401", kind: "mobile"  } ],
          rules: [ { from: "intercom-*", action: "ring", timeout: 45 },
                   { from: "*", action: "forward", target: "guard" } ],
          doors: ["entrance"] },
        { number: "402", accounts: [ { username: "panel402", kind: "panel" } ], doors: ["entrance"] } ],
      accounts: [ { username: "guard1", kind: "guard", name: "Loge" } ],
      stations: [ { username: "intercom-main", name: "Entrance", camera: "entrance", door: "entrance",
                    address: null, maxTalk: 180, hangupAfterOpen: false } ],
      cameras:  [ { id: "entrance", source: "\(camera)", view: "ring" } ],
      doors:    [ { id: "entrance", actuator: { kind: "none" }, pulse: 3000, openCode: "#" } ],
    }

    """
  }

  /// The same, read.
  package static func demo(camera: String = "test:pattern") -> Building {
    do {
      return try read(Array(demoFile(camera: camera).utf8), file: "demo").building
    } catch {
      preconditionFailure("the embedded directory must read without errors: \(error)")
    }
  }
}
