internal import Wire

/// A request outside the sessions: OPTIONS, NOTIFY, MESSAGE, REGISTER.
package struct OutgoingRequest: Sendable {
  package var method: Method
  package var from: NameAddress
  package var to: NameAddress
  /// Further header fields, in order.
  package var headers: [(String, String)]
  package var body: Body?
  /// nil: the agent makes one. Given together with `cseq` by whoever keeps a registration alive.
  package var callID: String?
  package var cseq: UInt32

  package init(
    _ method: Method, from: NameAddress, to: NameAddress, headers: [(String, String)] = [],
    body: Body? = nil, callID: String? = nil, cseq: UInt32 = 1
  ) {
    self.method = method
    self.from = from
    self.to = to
    self.headers = headers
    self.body = body
    self.callID = callID
    self.cseq = cseq
  }
}

/// An INVITE that begins a session. Call-ID, tags and branch are the agent's.
package struct OutgoingInvitation: Sendable {
  package var from: NameAddress
  package var to: NameAddress
  /// Its `uri` is the Request-URI.
  package var destination: Destination
  /// Further header fields, in order, such as `Alert-Info`.
  package var headers: [(String, String)]
  /// The offer; nil asks the peer for one.
  package var body: Body?
  /// Seconds between session refreshes that we ask for; nil asks for none.
  package var sessionExpires: Int?
  package var maxForwards: Int
  /// The user part of our Contact; nil: that of `from`.
  package var contactUser: String?

  package init(
    from: NameAddress, to: NameAddress, destination: Destination, headers: [(String, String)] = [],
    body: Body? = nil, sessionExpires: Int? = nil, maxForwards: Int = 70, contactUser: String? = nil
  ) {
    self.from = from
    self.to = to
    self.destination = destination
    self.headers = headers
    self.body = body
    self.sessionExpires = sessionExpires
    self.maxForwards = maxForwards
    self.contactUser = contactUser
  }
}

/// What every request of ours carries besides its Via, kept so that ACK and CANCEL can repeat it (§9.1, §17.1.1.3)
/// and a request can be sent anew to another address.
struct RequestHead {
  var method: Method
  var target: URI
  var from: NameAddress
  var to: NameAddress
  var callID: String
  var cseq: UInt32
  var route: [String]
  var maxForwards = 70

  /// Writes the whole request.
  func bytes(
    via: String, contact: String? = nil, headers: [(String, String)] = [], body: Body? = nil
  ) -> [UInt8] {
    var fields = Headers()
    fields.add(.via, via)
    fields.add(.maxForwards, String(maxForwards))
    for value in route { fields.add(.route, value) }
    fields.add(.from, from)
    fields.add(.to, to)
    fields.add(.callID, callID)
    fields.add(.cseq, "\(cseq) \(method.text)")
    if let contact { fields.add(.contact, contact) }
    fields.add(contentsOf: headers)
    return Request(
      method, target, headers: fields, body: body?.bytes ?? [], contentType: body?.contentType
    ).encoded()
  }
}

extension [UInt8] {
  /// Sixteen hexadecimal digits.
  mutating func append(hex word: UInt64) {
    for shift in stride(from: 60, through: 0, by: -4) {
      append(ASCII.hexDigit(UInt8(truncatingIfNeeded: word >> UInt64(shift)) & 15))
    }
  }
}

/// A name of ours that carries the place of what it names and 64 bits that cannot be guessed: branches and tags.
/// What comes back is found by its place and then compared, so no table is needed.
enum Token {
  static func text(prefix: String = "", _ handle: Handle, _ secret: UInt64) -> String {
    var bytes: [UInt8] = []
    bytes.append(ascii: prefix)
    bytes.append(hex: handle.raw)
    bytes.append(hex: secret)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The two words of a token; nil for anything that we did not write.
  static func parse(prefix: String = "", _ text: String) -> (Handle, UInt64)? {
    let bytes = Array(text.utf8)
    let skip = prefix.utf8.count
    guard bytes.count == skip + 32, bytes[..<skip].elementsEqual(prefix.utf8) else { return nil }
    var words: (UInt64, UInt64) = (0, 0)
    for (place, byte) in bytes[skip...].enumerated() {
      guard let digit = ASCII.hexValue(byte), ASCII.hexDigit(digit) == byte else { return nil }
      if place < 16 { words.0 = words.0 << 4 | UInt64(digit) } else { words.1 = words.1 << 4 | UInt64(digit) }
    }
    return (Handle(raw: words.0), words.1)
  }
}
