// Session description fragments: bodies of type `application/trickle-ice-sdpfrag` (RFC 8840 section 9), in a PATCH
// of WHEP or an INFO of SIP.

/// Candidates told after the description, or new credentials.
package struct TrickleFragment: Hashable, Sendable {
  /// What one fragment says of one media description.
  package struct Section: Hashable, Sendable {
    /// The value of `m=`; nil for what stands before the first.
    package var media: String?
    package var mid: String?
    package var fragment: String?
    package var password: String?
    package var candidates: [Candidate] = []
    package var isComplete = false

    package init(media: String? = nil, mid: String? = nil) {
      self.media = media
      self.mid = mid
    }
  }

  /// The longest body that is read.
  package static let byteLimit = 32 * 1024
  /// Media descriptions and candidates beyond these are passed over.
  package static let sectionLimit = 64
  package static let candidateLimit = 64

  /// Credentials and candidates that are said for all.
  package var session = Section()
  package var sections: [Section] = []
  /// `a=ice-lite`
  package var isLite = false
  /// `a=ice-options`, word by word.
  package var options: [String] = []
  /// Candidate lines that we cannot use: names, other transports, malformed ones, and those over the limit.
  package private(set) var skipped = 0

  package init() {}

  /// Reads a body. Lines that it does not know are passed over; nil when it is too long or no line is one of a
  /// session description.
  package init?(parsing body: [UInt8]) {
    guard body.count <= TrickleFragment.byteLimit else { return nil }
    var lines = 0
    var candidates = 0
    for line in body.split(whereSeparator: { $0 == 13 || $0 == 10 }) {
      guard line.count >= 2, line[line.startIndex + 1] == UInt8(ascii: "=") else { return nil }
      lines += 1
      let value = line.dropFirst(2)
      switch line[line.startIndex] {
      case UInt8(ascii: "m"):
        guard sections.count < TrickleFragment.sectionLimit else { return }
        sections.append(Section(media: String(decoding: value, as: UTF8.self)))
      case UInt8(ascii: "a"): note(value, &candidates)
      default: break
      }
    }
    guard lines > 0 else { return nil }
  }

  private mutating func note(_ attribute: ArraySlice<UInt8>, _ candidates: inout Int) {
    let colon = attribute.firstIndex(of: UInt8(ascii: ":")) ?? attribute.endIndex
    let text = { (part: ArraySlice<UInt8>) in String(decoding: part, as: UTF8.self) }
    let value = attribute[min(colon + 1, attribute.endIndex)...]
    func change(_ body: (inout Section) -> Void) {
      if sections.isEmpty { body(&session) } else { body(&sections[sections.count - 1]) }
    }
    switch text(attribute[..<colon]) {
    case "candidate":
      guard candidates < TrickleFragment.candidateLimit, let one = try? Candidate(ascii: Array(attribute))
      else {
        skipped += 1
        return
      }
      candidates += 1
      change { $0.candidates.append(one) }
    case "end-of-candidates": change { $0.isComplete = true }
    case "ice-ufrag": change { $0.fragment = text(value) }
    case "ice-pwd": change { $0.password = text(value) }
    case "mid": change { $0.mid = text(value) }
    case "ice-lite": isLite = true
    case "ice-options": options = text(value).split(separator: " ").map(String.init)
    default: break
    }
  }

  /// The credentials, whichever level says them; nil when a half is missing or malformed.
  package var credentials: ICECredentials? {
    for section in [session] + sections {
      if let fragment = section.fragment, let password = section.password {
        return ICECredentials(fragment: fragment, password: password)
      }
    }
    return nil
  }

  /// All candidates, those of the session first.
  package var candidates: [Candidate] { session.candidates + sections.flatMap(\.candidates) }

  /// Whether the sender has said that none will follow.
  package var isComplete: Bool { session.isComplete || sections.contains(where: \.isComplete) }

  /// The body, with CR LF.
  package var bytes: [UInt8] {
    var text = ""
    func line(_ words: String) { text += words + "\r\n" }
    func write(_ section: Section) {
      if let media = section.media { line("m=\(media)") }
      if let mid = section.mid { line("a=mid:\(mid)") }
      if let fragment = section.fragment { line("a=ice-ufrag:\(fragment)") }
      if let password = section.password { line("a=ice-pwd:\(password)") }
      for candidate in section.candidates { line("a=\(candidate.line)") }
      if section.isComplete { line("a=end-of-candidates") }
    }
    if isLite { line("a=ice-lite") }
    if !options.isEmpty { line("a=ice-options:\(options.joined(separator: " "))") }
    write(session)
    for section in sections { write(section) }
    return Array(text.utf8)
  }
}
