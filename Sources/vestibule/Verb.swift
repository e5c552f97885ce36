/// What the command line can do: the words people type, and what `--help` says about them.
enum Verb: String, CaseIterable {
  case apply, export
  case units, accounts, stations, cameras, doors
  case enroll, revoke, dnd
  case ring, open
  case calls, cdr
  case events, bans
  case doctor, status
  case supportBundle = "support-bundle"
  case backup, restore, maintenance

  struct Option {
    /// Without dashes.
    var name: String
    /// What stands for its value in the help; nil for a switch.
    var value: String?
    var meaning: String

    init(_ name: String, _ value: String? = nil, _ meaning: String) {
      self.name = name
      self.value = value
      self.meaning = meaning
    }
  }

  /// Every verb's.
  static let commonOptions = [
    Option("json", nil, "print JSON, for programs"),
    Option(
      "socket", "PATH", "the daemon's control socket (default: $VESTIBULE_SOCKET, else \(defaultSocket))"),
    Option("help", nil, "print this"),
  ]
  static let defaultSocket = "/run/vestibule/control.sock"

  /// The forms of its arguments, one a line.
  var forms: [String] {
    switch self {
    case .apply: ["FILE"]
    case .enroll: ["ACCOUNT"]
    case .revoke: ["ACCOUNT [ID]"]
    case .dnd: ["on ACCOUNT|UNIT", "off ACCOUNT|UNIT"]
    case .ring: ["TARGET"]
    case .open: ["DOOR"]
    case .calls: ["", "hangup ID"]
    case .bans: ["", "lift ADDRESS"]
    case .backup, .restore: ["FILE"]
    case .maintenance: ["on", "off"]
    case .export, .units, .accounts, .stations, .cameras, .doors, .cdr, .events, .doctor, .status,
      .supportBundle:
      [""]
    }
  }

  var options: [Option] {
    switch self {
    case .apply: [Option("dry-run", nil, "say what would change, and change nothing")]
    case .enroll:
      [
        Option(
          "format", "FORMAT", "sip (default): username and secret; url, linphone, akuvox, png, svg: see below"
        ),
        Option("replace", nil, "end all earlier credentials, with their registrations and calls"),
      ]
    case .ring:
      [
        Option("as", "STATION", "the station to call as (default: the first)"),
        Option("seconds", "N", "how long to talk once answered, 1 to 120 (default: 10)"),
      ]
    case .cdr:
      [
        Option("limit", "N", "how many, 1 to 1000 (default: 100)"),
        Option("before", "TIME", "only calls that started before TIME, such as 2026-11-20T21:28:39Z"),
      ]
    case .events:
      [
        Option("follow", nil, "go on printing what happens, one JSON object a line, until stopped"),
        Option("after", "ID", "only events after this one"),
      ]
    case .supportBundle:
      [Option("output", "FILE", "where to write it (default: vestibule-support.json; - for standard output)")]
    case .export, .units, .accounts, .stations, .cameras, .doors, .revoke, .dnd, .open, .calls, .bans,
      .doctor, .status, .backup, .restore, .maintenance:
      []
    }
  }

  /// One line for the list of verbs.
  var summary: String {
    switch self {
    case .apply: "make the directory what FILE says"
    case .export: "print the directory in the form that apply takes"
    case .units: "list the units"
    case .accounts: "list the accounts and where they are registered"
    case .stations: "list the door stations"
    case .cameras: "list the cameras"
    case .doors: "list the doors"
    case .enroll: "add a credential to an account and show it once"
    case .revoke: "end one or all credentials of an account"
    case .dnd: "switch do-not-disturb on or off"
    case .ring: "place a real test call as a door station"
    case .open: "trigger a door as the local operator"
    case .calls: "list the live calls, or end one"
    case .cdr: "list past calls"
    case .events: "print what happens"
    case .bans: "list banned addresses, or lift a ban"
    case .doctor: "run every check, each with its fix"
    case .status: "one page about the gateway"
    case .supportBundle: "write down what support needs to know"
    case .backup: "write everything that is kept to FILE"
    case .restore: "put a backup back and start anew with it"
    case .maintenance: "switch maintenance mode on or off"
    }
  }

  /// What else `--help` says.
  var details: String {
    switch self {
    case .apply:
      """
      FILE is JSON5; - reads standard input. Everything happens in one transaction: when the file has errors, all of
      them are printed with line and key, and nothing changes. Prints what was added, changed and removed.
      """
    case .export: "Device passwords are printed as \"unchanged\"; applying that keeps the stored ones."
    case .units: "With their accounts, their doors and how many of their accounts can be reached."
    case .accounts:
      "With their contacts, the round trip to each, do-not-disturb, and the ids of their credentials."
    case .stations: "With their address or contacts, camera and door."
    case .cameras: "With their source, without passwords."
    case .doors: "With their actuator, and what came of the last attempt."
    case .enroll:
      """
      The secret is made by the gateway, shown this once and stored only as a digest. An account holds as many
      credentials as devices; when it is full, the oldest goes.

      The other formats print a link that is good once, for ten minutes, and the account gets its credential when it
      is opened:
        url        for a browser: the resident's page
        linphone   for Linphone: scan the QR code, or enter the link as remote provisioning
        akuvox     for an Akuvox device: enter the link as autoprovisioning
        png, svg   the QR code of the browser's link as a picture on standard output
      """
    case .revoke:
      "ID is shown by `vestibule accounts --json`; without one, all end. Registrations and calls made with them end too."
    case .dnd: "The same as dialling *78 and *79 on a device."
    case .ring:
      """
      TARGET is a unit or an account. Calls over SIP from this machine with a credential that is good for one call,
      plays a tone, listens, and reports each leg. Exits 0 only if somebody answered and audio came back.
      """
    case .open: "Exits 0 only if the door opened. Every attempt is in the audit log."
    case .calls: "hangup ends one, with its id from the list."
    case .cdr: "The latest first."
    case .events: "Without --follow: the latest events, as far as the daemon still has them."
    case .bans: "lift ends every ban of an address."
    case .doctor: "Exits 0 only if no check failed."
    case .status:
      "Version, uplink, registrations, calls, cameras, doors, disk, temperature, and what is wrong."
    case .supportBundle:
      """
      One JSON file: status, checks, directory, devices, the last calls, figures and the newest log. Passwords, keys, the
      names of residents and the addresses of their devices are left out; read it before you hand it on.
      """
    case .backup:
      """
      One consistent file, made while the gateway works; - writes to standard output. Secrets in it are wrapped with
      this device's key (device-key in the state directory, or systemd's credential), which is not in it: keep that
      somewhere else, or every device must be enrolled anew after a restore on another machine.
      """
    case .restore:
      """
      FILE is checked before anything changes: its integrity, its audit, its domain. Then running calls get ten seconds,
      and the gateway begins anew with it. What was kept before stays in the state directory as
      vestibule.sqlite.before-restore.
      """
    case .maintenance:
      """
      For an installer at work: doors ring and open as ever, but wrong passwords from the building's own network ban
      nobody. It ends by itself after four hours.
      """
    }
  }

  var help: String {
    var text = ""
    for (place, form) in forms.enumerated() {
      text +=
        (place == 0 ? "usage: " : "       ") + "vestibule \(rawValue)" + (form.isEmpty ? "" : " \(form)")
      text += " [options]\n"
    }
    text += "\n\(Verb.capitalised(summary)).\n\(details)\n\nOptions:\n"
    text += Verb.table(options + Verb.commonOptions)
    text += "\n" + Verb.exits
    return text
  }

  static var overview: String {
    var text = "usage: vestibule VERB [arguments] [options]\n\n"
    let width = allCases.map { $0.rawValue.utf8.count }.max() ?? 0
    for verb in allCases {
      text += "  " + verb.rawValue + String(repeating: " ", count: width + 2 - verb.rawValue.utf8.count)
      text += verb.summary + "\n"
    }
    text += "\n`vestibule VERB --help` says more about one.\n\nOptions of every verb:\n"
    return text + table(commonOptions) + "\n" + exits
  }

  private static let exits =
    "Exit status: 0 done, 64 wrong usage, 69 daemon not reachable, 77 not allowed, 1 anything else.\n"

  private static func capitalised(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() }

  private static func table(_ options: [Option]) -> String {
    let names = options.map { "--\($0.name)" + ($0.value.map { " \($0)" } ?? "") }
    let width = names.map(\.utf8.count).max() ?? 0
    return zip(names, options).map { name, option in
      "  " + name + String(repeating: " ", count: width + 2 - name.utf8.count) + option.meaning + "\n"
    }.joined()
  }
}
