internal import Wire

/// What From, To, Contact, Route and Refer-To carry: a URI, perhaps a display name, and parameters of the header
/// (not of the URI: `sip:a@b;p` has the parameter outside, `<sip:a@b;p>` inside).
package struct NameAddress: Hashable, Sendable {
  /// Without quotes.
  package var display: String?
  package var uri: URI
  package var parameters: Parameters

  package init(display: String? = nil, _ uri: URI, parameters: Parameters = Parameters()) {
    self.display = display
    self.uri = uri
    self.parameters = parameters
  }

  /// Reads one value that fills the text; nil when it is malformed.
  package init?(_ text: String) {
    let bytes = Array(text.utf8)
    let span = bytes.span
    guard let parts = Grammar.address(span, 0, bytes.count), parts.end == bytes.count else { return nil }
    self.init(span, parts)
  }

  init(_ bytes: Span<UInt8>, _ parts: Grammar.AddressParts) {
    if !parts.display.isEmpty { display = Text.unquoted(Text.unfolded(bytes, parts.display)) }
    uri = URI(bytes, parts.uri)
    parameters = Parameters(bytes, parts.parameters)
  }

  package var tag: String? {
    get { parameters["tag"] }
    set { parameters["tag"] = newValue }
  }

  /// Always with brackets: the only form in which any URI is unambiguous.
  package func append(to bytes: inout [UInt8]) {
    if let display, !display.isEmpty {
      Text.append(Text.quoted(display), to: &bytes)
      bytes.append(UInt8(ascii: " "))
    }
    bytes.append(UInt8(ascii: "<"))
    uri.append(to: &bytes)
    bytes.append(UInt8(ascii: ">"))
    parameters.append(to: &bytes)
  }
}

extension NameAddress: CustomStringConvertible {
  package var description: String {
    var bytes: [UInt8] = []
    append(to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }
}
