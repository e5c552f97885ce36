// swift-tools-version: 6.2
//
// The house: every room is one target, and a room imports only rooms that stand before it here.
// `Tests/LayeringTests` reads this table and the sources and refuses an arrow that points up.

import PackageDescription

#if compiler(>=6.3)
  let strictness: [SwiftSetting] = [.treatAllWarnings(as: .error)]
#else
  let strictness: [SwiftSetting] = []
#endif

let house: [SwiftSetting] =
  strictness + [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  ]

/// One room: a folder in `Sources` and the rooms it may import.
/// `embedded`: files that become part of the program.
func room(
  _ name: String, _ imports: [String], extra: [SwiftSetting] = [], embedded: [String] = []
) -> Target {
  .target(
    name: name, dependencies: imports.map { .init(stringLiteral: $0) },
    resources: embedded.map { .embedInCode($0) }, swiftSettings: house + extra)
}

/// The tests of one room, in `Tests/<name>Tests`.
func tests(_ name: String, _ imports: [String], resources: [Resource] = []) -> Target {
  .testTarget(
    name: name + "Tests", dependencies: imports.map { .init(stringLiteral: $0) },
    resources: resources, swiftSettings: house)
}

/// A Debian library found by pkg-config.
func library(_ name: String, pkgConfig: String, apt: String) -> Target {
  .systemLibrary(name: name, path: "Sources/\(name)", pkgConfig: pkgConfig, providers: [.apt([apt])])
}

let rooms: [Target] = [
  // C, each wrapped by the one room that names it.
  .target(name: "CLinux"),  // epoll, recvmmsg, GPIO ioctls: what `import Glibc` lacks
  .target(name: "CAVCodec"),  // libavcodec, opened at first use: an idle daemon must not carry its 18 MB
  .target(name: "COpus"),  // libopus, opened at first use likewise
  .target(name: "CALSA"),  // ALSA's libasound, opened at first use likewise
  library("CSRTP", pkgConfig: "libsrtp2", apt: "libsrtp2-dev"),  // SRTP that is received, and SRTCP
  library("COpenSSL", pkgConfig: "openssl", apt: "libssl-dev"),  // TLS, hashes, certificates
  library("CQRencode", pkgConfig: "libqrencode", apt: "libqrencode-dev"),  // QR codes of links
  library("CSQLite", pkgConfig: "sqlite3", apt: "libsqlite3-dev"),  // the store

  // Floor 0
  room("Wire", [], extra: [.enableExperimentalFeature("Lifetimes")]),
  room("Journal", ["Wire"]),
  room("Reactor", ["Wire", "Journal", "CLinux"]),
  room("Crypto", ["Wire", "COpenSSL", "CSRTP"]),
  room("Codecs", ["Wire", "CAVCodec", "COpus"]),
  room("Devices", ["Wire", "CLinux", "CALSA"]),

  // Floor 1
  room("JSON", ["Wire"]),
  room("SDP", ["Wire"]),
  room("RTP", ["Wire"]),
  room("HTTP", ["Wire"]),
  room("SIP", ["Wire", "Crypto"]),
  room("WebSocket", ["Wire", "Crypto"]),
  room("ICE", ["Wire", "Crypto"]),
  room("RTSP", ["Wire", "Crypto", "SDP", "RTP"]),

  // Floor 2
  room("Directory", ["Wire", "JSON"]),
  room("Transport", ["Wire", "Journal", "Crypto"]),
  room("Store", ["Wire", "SIP", "Directory", "CSQLite"]),
  room("WebRTC", ["Wire", "Crypto", "SDP", "RTP", "ICE"]),
  room("MediaPlane", ["Wire", "Crypto", "Codecs", "SDP", "RTP", "ICE", "WebRTC"]),
  room("API", ["Wire", "JSON", "HTTP"]),
  room("Web", ["Wire", "Crypto", "JSON", "HTTP", "WebSocket", "Transport"]),

  // Floor 3
  room("Calls", ["Wire", "Journal", "SIP", "SDP", "Directory", "MediaPlane"]),
  room("Doors", ["Wire", "Journal", "Crypto", "Devices", "HTTP", "Directory"]),
  room(
    "Cameras",
    [
      "Wire", "Journal", "Crypto", "Codecs", "Devices", "JSON", "SDP", "RTP", "HTTP", "ICE", "RTSP",
      "Directory", "Transport",
      "WebRTC", "MediaPlane", "Web",
    ]),

  // The cameras of this machine, a thread each: only the daemon makes them.
  room(
    "Capture",
    ["Wire", "Reactor", "Codecs", "Devices", "RTP", "Directory", "Cameras"]),

  // Floor 4
  room("Provisioning", ["Wire", "Crypto", "JSON", "HTTP", "Directory", "Web", "CQRencode"]),
  room(
    "Management", ["Wire", "Journal", "Crypto", "JSON", "HTTP", "Directory", "Web", "API"],
    embedded: [
      "Page/index.html", "Page/page.css", "Page/page.js", "Page/path.js", "Page/view.js", "Page/words.js",
      "Page/ring.js", "Page/talk.js", "Page/worker.js", "Page/icon.svg", "Page/manifest.json",
    ]),

  // Floor 5
  room(
    "Gateway",
    [
      "Wire", "Journal", "Crypto", "Codecs", "Devices", "JSON", "SDP", "RTP", "HTTP", "SIP", "WebSocket",
      "ICE", "Directory", "Transport", "Store", "WebRTC", "MediaPlane", "API", "Web", "Calls", "Doors",
      "Cameras",
      "Provisioning", "Management",
    ]),
]

let programs: [Target] = [
  .executableTarget(
    name: "vestibuled",
    dependencies: [
      "Wire", "Journal", "Reactor", "Crypto", "Codecs", "Devices", "JSON", "RTP", "Directory", "Transport",
      "Store",
      "WebRTC", "Doors", "Cameras", "Capture", "Gateway",
    ], swiftSettings: house),
  .executableTarget(
    name: "vestibule",
    dependencies: ["Wire", "Reactor", "Crypto", "Codecs", "JSON", "SDP", "RTP", "HTTP", "SIP", "API"],
    swiftSettings: house),
]

let roomTests: [Target] = [
  tests("Layering", []),
  tests("Wire", ["Wire"]),
  tests("Journal", ["Wire", "Journal"]),
  tests("Reactor", ["Wire", "Journal", "Reactor"]),
  tests("Crypto", ["Wire", "Crypto", "COpenSSL", "CSRTP"]),
  tests("Codecs", ["Wire", "Codecs"]),
  tests("Devices", ["Wire", "Devices", "Simulation"]),
  tests("JSON", ["Wire", "JSON"]),
  tests("WebSocket", ["Wire", "Crypto", "WebSocket"]),
  tests("ICE", ["Wire", "Crypto", "ICE", "SimulatedHomes"]),
  tests(
    "WebRTC", ["Wire", "Crypto", "SDP", "RTP", "ICE", "WebRTC", "Simulation", "SimulatedHomes"],
    resources: [.copy("Descriptions")]),
  tests("RTSP", ["Wire", "Crypto", "SDP", "RTP", "RTSP"]),
  tests(
    "Cameras",
    [
      "Wire", "Crypto", "Codecs", "JSON", "SDP", "RTP", "HTTP", "ICE", "RTSP", "Directory", "Transport",
      "WebRTC", "MediaPlane",
      "Web", "Cameras", "Simulation",
    ]),
  tests("Capture", ["Wire", "Reactor", "Codecs", "Devices", "RTP", "Directory", "Cameras", "Capture"]),
  tests("SDP", ["Wire", "SDP"]),
  tests("RTP", ["Wire", "RTP"]),
  tests("HTTP", ["Wire", "HTTP"]),
  tests("SIP", ["Wire", "Crypto", "SIP"], resources: [.copy("Torture")]),
  tests("Directory", ["Wire", "JSON", "Directory"]),
  tests("Transport", ["Wire", "Journal", "Crypto", "Transport", "Simulation"]),
  tests("Store", ["Wire", "SIP", "Directory", "Store", "Simulation"]),
  tests(
    "MediaPlane",
    ["Wire", "Crypto", "Codecs", "SDP", "RTP", "ICE", "WebRTC", "MediaPlane", "Simulation"]),
  tests("API", ["Wire", "JSON", "HTTP", "API"]),
  tests("Web", ["Wire", "HTTP", "WebSocket", "Web"]),
  tests(
    "Building",
    [
      "Wire", "Journal", "Crypto", "JSON", "SDP", "RTP", "HTTP", "SIP", "ICE", "Directory", "MediaPlane",
      "API", "Web", "Calls", "Devices", "Doors", "Provisioning", "Management", "Gateway", "Simulation",
      "SimulatedBuilding",
    ]),
  tests(
    "Vestibule",
    ["Wire", "Reactor", "JSON", "SDP", "RTP", "HTTP", "SIP", "API", "vestibule", "Simulation"]),
]

/// The simulated outside: never shipped.
let simulation: [Target] = [
  .target(
    name: "Simulation",
    dependencies: [
      "Wire", "Crypto", "RTP", "Directory", "Transport", "Devices", "WebRTC", "Cameras", "CSQLite",
    ],
    path: "Tests/Simulation", exclude: ["Building", "Homes"],
    swiftSettings: house),
  // Homes behind translators, and a relay between them.
  .target(
    name: "SimulatedHomes", dependencies: ["Wire", "Crypto", "ICE"], path: "Tests/Simulation/Homes",
    swiftSettings: house),
  // The real gateway in its simulated building.
  .target(
    name: "SimulatedBuilding",
    dependencies: [
      "Wire", "Journal", "Crypto", "Devices", "JSON", "SDP", "ICE", "Directory", "Transport", "Store",
      "WebRTC", "Gateway", "Simulation",
    ], path: "Tests/Simulation/Building", exclude: ["README.md"], swiftSettings: house),
]

/// Programs that only the tests and the benchmarks want: present when `VESTIBULE_PROGRAMS` is set.
let workshop: [Target] =
  Context.environment["VESTIBULE_PROGRAMS"] == nil
  ? []
  : [
    .executableTarget(
      name: "Benchmark",
      dependencies: [
        "Wire", "Reactor", "Crypto", "Codecs", "JSON", "SDP", "RTP", "HTTP", "SIP", "WebSocket", "ICE",
        "WebRTC",
        "CLinux", "CSRTP",
      ],
      path: "Tests/Benchmark",
      swiftSettings: house),
    .executableTarget(
      name: "Simulate", dependencies: ["SimulatedBuilding"], path: "Tests/Simulate", swiftSettings: house),
    .executableTarget(
      name: "Echo", dependencies: ["Wire", "Crypto", "SDP", "RTP", "ICE", "WebRTC"], path: "Tests/Echo",
      swiftSettings: house),
    .executableTarget(
      name: "Watch",
      dependencies: [
        "Wire", "Reactor", "Crypto", "Codecs", "RTP", "RTSP", "Directory", "Transport", "Cameras", "Capture",
      ],
      path: "Tests/Watch", swiftSettings: house),
  ]

/// The fuzz harnesses: only with libFuzzer's compiler flags does this link.
let fuzzing: [Target] =
  Context.environment["VESTIBULE_FUZZ"] == nil
  ? []
  : [
    .executableTarget(
      name: "Fuzz",
      dependencies: [
        "Wire", "Crypto", "Codecs", "SIP", "SDP", "RTP", "ICE", "RTSP", "HTTP", "WebSocket", "JSON",
        "Directory",
        "WebRTC", "MediaPlane", "API", "Cameras", "Gateway", "Simulation",
      ],
      path: "Tests/Fuzz", exclude: ["Corpus"],
      swiftSettings: house + [.enableExperimentalFeature("Extern")])
  ]

/// Only the tests of the named rooms, where `VESTIBULE_TESTS` names any: a sanitizer's build is dear.
let chosen = Context.environment["VESTIBULE_TESTS"].map { names in
  roomTests.filter { test in names.split(separator: " ").contains { test.name == $0 + "Tests" } }
}

let package = Package(
  name: "vestibule",
  products: [
    .executable(name: "vestibuled", targets: ["vestibuled"]),
    .executable(name: "vestibule", targets: ["vestibule"]),
  ],
  targets: rooms + programs + simulation + (chosen ?? roomTests) + workshop + fuzzing
)
