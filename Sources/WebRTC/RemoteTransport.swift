internal import Crypto
internal import ICE
internal import RTP
internal import SDP
internal import Wire

/// Who may be the DTLS client (RFC 4145, RFC 8842).
enum Setup: String, Sendable {
  case actpass, active, passive, holdconn
}

/// What a description says of its transport: one for all its streams.
struct RemoteTransport: Equatable, Sendable {
  /// Candidates of one description that are looked at; browsers with many interfaces send about thirty.
  static let candidateLimit = 64

  var credentials: ICECredentials
  var fingerprints: [Fingerprint]
  /// Nil where the peer says nothing.
  var setup: Setup?
  var association: String?
  var candidates: [Candidate]
  var isLite: Bool
  var isComplete: Bool

  /// Reads it from the line that carries the transport, and the session where the line is silent.
  init(_ description: SessionDescription, line: MediaDescription) throws(PeerRefusal) {
    func value(_ name: String) -> String? { line.value(of: name) ?? description.value(of: name) }
    guard let fragment = value("ice-ufrag"), let password = value("ice-pwd"),
      let credentials = ICECredentials(fragment: fragment, password: password)
    else { throw .noCredentials }
    self.credentials = credentials
    var own = line.attributes.filter { $0.name == "fingerprint" }
    if own.isEmpty { own = description.attributes.filter { $0.name == "fingerprint" } }
    fingerprints = own.prefix(8).compactMap { $0.value.flatMap { Fingerprint($0) } }
    guard !fingerprints.isEmpty else { throw .noFingerprint }
    setup = value("setup").flatMap { Setup(rawValue: $0) }
    association = value("tls-id")
    candidates = []
    for attribute in line.attributes where attribute.name == "candidate" {
      guard candidates.count < RemoteTransport.candidateLimit else { break }
      // Names, other transports and malformed lines are of no use to us, and no mistake of the description.
      guard let value = attribute.value, let candidate = try? Candidate(line: value) else { continue }
      candidates.append(candidate)
    }
    isLite = description.has("ice-lite")
    isComplete = line.has("end-of-candidates") || description.has("end-of-candidates")
  }

  var ice: ICEDescription {
    ICEDescription(
      credentials: credentials, candidates: candidates, isLite: isLite, isComplete: isComplete)
  }
}

extension SessionDescription {
  func value(of name: String) -> String? { attributes.first { $0.name == name }?.value }
  func has(_ name: String) -> Bool { attributes.contains { $0.name == name } }

  /// The mids of the first bundle (RFC 9143), in order.
  var bundle: [String] {
    for attribute in attributes where attribute.name == "group" {
      let words = (attribute.value ?? "").split(separator: " ")
      if words.first == "BUNDLE" { return words.dropFirst().map(String.init) }
    }
    return []
  }

  /// Which way the writer lets a line flow, by its attributes alone: an address of zeros is no hold where ICE finds
  /// the addresses.
  func writtenDirection(of line: MediaDescription) -> Direction {
    if line.isWithdrawn { return .inactive }
    for attribute in line.attributes + attributes where attribute.value == nil {
      if let direction = Direction(rawValue: attribute.name) { return direction }
    }
    return .sendrecv
  }
}

extension MediaDescription {
  var mid: String? { value(of: "mid") }

  /// Rejected or withdrawn: port 0, unless that only says that the line lives in a bundle.
  var isWithdrawn: Bool { port == 0 && !has("bundle-only") }

  /// RTP under keys of DTLS. The older names stand without `UDP/TLS/`.
  var isEncryptedRTP: Bool {
    ["UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF"].contains { ASCII.equalIgnoringCase(proto, $0) }
  }

  /// The identifier that the writer gives to a header extension.
  func extensionID(of uri: String) -> Int? {
    for attribute in attributes where attribute.name == "extmap" {
      let words = (attribute.value ?? "").split(separator: " ")
      guard words.count >= 2, words[1] == uri else { continue }
      guard let id = Int(words[0].prefix { $0 != "/" }), (1...255).contains(id) else { continue }
      return id
    }
    return nil
  }

  /// How an answer that sends writes an extension that this line offers: its identifier, and the direction where the
  /// offer has one; nil where it is not offered, not to be sent, or beyond the short form.
  func answered(_ kind: ExtensionIDs.Kind) -> String? {
    guard let id = extensionID(of: kind.name) else { return nil }
    if kind == .mid { return "\(id)" }
    guard (1...14).contains(id) else { return nil }
    for attribute in attributes where attribute.name == "extmap" {
      let words = (attribute.value ?? "").split(separator: " ")
      guard words.count >= 2, words[1] == kind.name, let slash = words[0].firstIndex(of: "/") else {
        continue
      }
      switch words[0][slash...] {
      case "/recvonly": return "\(id)/sendonly"
      case "/sendrecv": return "\(id)"
      default: return nil
      }
    }
    return "\(id)"
  }

  /// What the line says of identifiers.
  var extensions: ExtensionIDs {
    var result = ExtensionIDs()
    for kind in ExtensionIDs.Kind.allCases {
      result[kind] = extensionID(of: kind.name).flatMap { UInt8(exactly: $0) } ?? 0
    }
    return result
  }

  /// Whether the writer offers a kind of feedback for a payload type, or for all.
  func offersFeedback(_ feedback: String, for payloadType: UInt8) -> Bool {
    attributes.contains { attribute in
      guard attribute.name == "rtcp-fb", let value = attribute.value else { return false }
      return value == "\(payloadType) \(feedback)" || value == "* \(feedback)"
    }
  }
}

/// The lines of a description that one transport can carry: at most one of each kind.
struct UsableLines: Equatable, Sendable {
  /// The line whose attributes describe the transport.
  var tagged: Int
  var audio: Int?
  var video: Int?

  /// The first usable line of each kind. Without a bundle only one line has a transport of ours: the sound's, else the
  /// picture's.
  init(_ description: SessionDescription) throws(PeerRefusal) {
    let bundle = description.bundle
    let lines = description.media
    var refusal = PeerRefusal.notWebRTC
    func isUsable(_ line: MediaDescription) -> Bool {
      guard !line.isWithdrawn, line.isEncryptedRTP, line.kind == .audio || line.kind == .video else {
        return false
      }
      guard line.muxesRTCP else {
        refusal = .noMux
        return false
      }
      return bundle.isEmpty || line.mid.map(bundle.contains) ?? false
    }
    audio = lines.firstIndex { $0.kind == .audio && isUsable($0) }
    video = lines.firstIndex { $0.kind == .video && isUsable($0) }
    guard let first = audio ?? video else { throw refusal }
    guard !bundle.isEmpty else {
      tagged = first
      if audio != nil { video = nil }
      return
    }
    tagged =
      bundle.lazy.compactMap { mid in lines.firstIndex { $0.mid == mid && !$0.isWithdrawn } }.first ?? first
  }

  subscript(kind: StreamKind) -> Int? { kind == .audio ? audio : video }
}
