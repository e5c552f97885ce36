internal import Wire

/// The grammar of RFC 3261, section 25, as far as a B2BUA needs it: functions that go over a span and say where
/// the parts lie. Nothing is copied; nil means malformed, and nothing traps whatever the bytes are.
///
/// Blanks are linear white space: CR and LF stand only inside folds, because the head parser let no others in.
enum Grammar {
  @inline(__always)
  static func skipBlanks(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var position = start
    while position < end, ASCII.isLinearBlank(bytes[position]) { position += 1 }
    return position
  }

  @inline(__always)
  static func skipToken(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var position = start
    while position < end, ASCII.isToken(bytes[position]) { position += 1 }
    return position
  }

  /// The offset after the closing quote of the quoted string that opens at `start`; nil when it never closes.
  static func skipQuoted(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int? {
    var position = start + 1
    while position < end {
      switch bytes[position] {
      case UInt8(ascii: "\""): return position + 1
      case UInt8(ascii: "\\"): position += 2
      default: position += 1
      }
    }
    return nil
  }

  /// Decimal digits that fill the range: at most `limit`. Nil if there are none, others, or the value is larger.
  static func number(_ bytes: Span<UInt8>, _ range: Range<Int>, limit: UInt64) -> UInt64? {
    guard !range.isEmpty else { return nil }
    var value: UInt64 = 0
    for position in range {
      let digit = bytes[position] &- 48
      guard digit < 10 else { return nil }
      let (product, isOver) = value.multipliedReportingOverflow(by: 10)
      guard !isOver, product <= UInt64.max - 10 else { return nil }
      value = product + UInt64(digit)
      guard value <= limit else { return nil }
    }
    return value
  }

  /// A whole number of seconds, with what may follow it (`;`, `(` or a blank) left out. Too large a value counts
  /// as 2^32 - 1 (RFC 3261, 20.19 leaves it to us; RFC 4475, 3.1.2.4); nil when there is no number.
  static func seconds(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt32? {
    var end = range.lowerBound
    while end < range.upperBound, ASCII.isDigit(bytes[end]) { end += 1 }
    guard end > range.lowerBound else { return nil }
    if end < range.upperBound {
      let next = bytes[end]
      guard ASCII.isLinearBlank(next) || next == UInt8(ascii: ";") || next == UInt8(ascii: "(") else {
        return nil
      }
    }
    return UInt32(
      truncatingIfNeeded: number(bytes, range.lowerBound..<end, limit: UInt64(UInt32.max))
        ?? UInt64(UInt32.max))
  }

  /// Equal to `word` (lower case) without case.
  @inline(__always)
  static func equals(_ bytes: Span<UInt8>, _ range: Range<Int>, _ word: StaticWord) -> Bool {
    guard range.count == word.count else { return false }
    var position = range.lowerBound
    var letters = word.letters
    for _ in 0..<word.count {
      if ASCII.lowered(bytes[position]) != UInt8(truncatingIfNeeded: letters) { return false }
      letters >>= 8
      position += 1
    }
    return true
  }

  /// Up to eight lower-case letters in one word, first letter lowest: compared without touching memory.
  struct StaticWord {
    var letters: UInt64
    var count: Int

    @inline(__always) init(letters: UInt64, count: Int) {
      self.letters = letters
      self.count = count
    }
    static var tag: StaticWord { StaticWord(letters: 0x67_61_74, count: 3) }
    static var branch: StaticWord { StaticWord(letters: 0x68_63_6E_61_72_62, count: 6) }
    static var rport: StaticWord { StaticWord(letters: 0x74_72_6F_70_72, count: 5) }
    static var received: StaticWord { StaticWord(letters: 0x64_65_76_69_65_63_65_72, count: 8) }
    static var sip: StaticWord { StaticWord(letters: 0x70_69_73, count: 3) }
    static var sips: StaticWord { StaticWord(letters: 0x73_70_69_73, count: 4) }
    static var tel: StaticWord { StaticWord(letters: 0x6C_65_74, count: 3) }
  }

  /// The start line is of a response or an ACK: whatever is wrong with it, nothing is sent back.
  static func isUnanswerable(_ bytes: Span<UInt8>) -> Bool {
    guard bytes.count >= 4 else { return true }
    let isResponse = equals(bytes, 0..<3, .sip) && bytes[3] == UInt8(ascii: "/")
    let isACK = bytes[0] == 65 && bytes[1] == 67 && bytes[2] == 75 && bytes[3] == 32
    return isResponse || isACK
  }

  // MARK: Parts

  /// A range in half the room: the parts of a message travel between functions by the hundred bytes.
  @propertyWrapper struct Packed {
    private var start: Int32
    private var end: Int32

    @inline(__always) init(wrappedValue: Range<Int>) {
      start = Int32(truncatingIfNeeded: wrappedValue.lowerBound)
      end = Int32(truncatingIfNeeded: wrappedValue.upperBound)
    }
    @inline(__always) var wrappedValue: Range<Int> {
      get { Int(start)..<Int(end) }
      set { self = Packed(wrappedValue: newValue) }
    }
  }

  /// The same for a range that may be missing.
  @propertyWrapper struct PackedOptional {
    private var start: Int32
    private var end: Int32

    @inline(__always) init(wrappedValue: Range<Int>?) {
      start = Int32(truncatingIfNeeded: wrappedValue?.lowerBound ?? -1)
      end = Int32(truncatingIfNeeded: wrappedValue?.upperBound ?? -1)
    }
    @inline(__always) var wrappedValue: Range<Int>? {
      get { start < 0 ? nil : Int(start)..<Int(end) }
      set { self = PackedOptional(wrappedValue: newValue) }
    }
  }

  /// One `;name=value`. `value` is as written, quotes included; nil for a name alone.
  struct ParameterParts {
    @Packed var name: Range<Int>
    @PackedOptional var value: Range<Int>?
    /// Where the next thing begins: `;`, `,` or the end.
    var next: Int
  }

  /// The parameter that begins with the `;` at `start`.
  static func parameter(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> ParameterParts? {
    let nameStart = skipBlanks(bytes, start + 1, end)
    let nameEnd = skipToken(bytes, nameStart, end)
    guard nameEnd > nameStart else { return nil }
    var position = skipBlanks(bytes, nameEnd, end)
    var value: Range<Int>?
    if position < end, bytes[position] == UInt8(ascii: "=") {
      let valueStart = skipBlanks(bytes, position + 1, end)
      var valueEnd = valueStart
      if valueStart < end, bytes[valueStart] == UInt8(ascii: "\"") {
        guard let close = skipQuoted(bytes, valueStart, end), close <= end else { return nil }
        valueEnd = close
      } else {
        while valueEnd < end, isParameterValueByte(bytes[valueEnd]) { valueEnd += 1 }
      }
      value = valueStart..<valueEnd
      position = skipBlanks(bytes, valueEnd, end)
    }
    guard position == end || bytes[position] == UInt8(ascii: ";") || bytes[position] == UInt8(ascii: ",")
    else { return nil }
    return ParameterParts(name: nameStart..<nameEnd, value: value, next: position)
  }

  /// One bit per byte value below 128, in two words.
  @inline(__always)
  private static func isIn(_ low: UInt64, _ high: UInt64, _ byte: UInt8) -> Bool {
    byte < 128 && (byte < 64 ? low : high) >> UInt64(byte & 63) & 1 == 1
  }

  /// More than a token: hosts, IPv6 references and what devices put there; never what parts values or lines.
  @inline(__always) private static func isParameterValueByte(_ byte: UInt8) -> Bool {
    byte >= 128 || isIn(0xA7FF_EFFA_0000_0000, 0x7FFF_FFFF_FFFF_FFFF, byte)
  }
  /// Any visible letter of ASCII but `@`, quotes and angle brackets.
  @inline(__always) private static func isURIByte(_ byte: UInt8) -> Bool {
    isIn(0xAFFF_FFFA_0000_0000, 0x7FFF_FFFF_FFFF_FFFE, byte)
  }

  // MARK: URIs

  struct URIParts {
    var scheme: URI.Kind
    @Packed var schemeRange: Range<Int>
    @PackedOptional var user: Range<Int>?
    @PackedOptional var password: Range<Int>?
    @Packed var host: Range<Int>
    var port: Int32
    /// From the first `;`; empty if there are none.
    @Packed var parameters: Range<Int>
    /// After the `?`.
    @PackedOptional var headers: Range<Int>?
  }

  /// The URI that fills the range. `isLoose` tolerates blanks before the `@` (RFC 5118, 4.5, as printed).
  static func uri(_ bytes: Span<UInt8>, _ range: Range<Int>, isLoose: Bool = false) -> URIParts? {
    let end = range.upperBound
    var colon = range.lowerBound
    while colon < end, isSchemeByte(bytes[colon]) { colon += 1 }
    guard colon < end, colon > range.lowerBound, bytes[colon] == UInt8(ascii: ":"),
      ASCII.isAlpha(bytes[range.lowerBound])
    else { return nil }
    let schemeRange = range.lowerBound..<colon
    let start = colon + 1
    let scheme: URI.Kind =
      if equals(bytes, schemeRange, .sip) { .sip } else if equals(bytes, schemeRange, .sips) {
        .sips
      } else if equals(bytes, schemeRange, .tel) { .tel } else { .other }

    var at = -1
    var position = start
    while position < end {
      let byte = bytes[position]
      if isURIByte(byte) {
        position += 1
        continue
      }
      if byte == UInt8(ascii: "@") {
        if at >= 0, scheme == .sip || scheme == .sips { return nil }
        at = position
      } else {
        // Blanks before the at sign of another scheme would stay in what is kept of it, and be sent on.
        guard isLoose, at < 0, scheme == .sip || scheme == .sips, ASCII.isLinearBlank(byte) else {
          return nil
        }
        let next = skipBlanks(bytes, position, end)
        guard next < end, bytes[next] == UInt8(ascii: "@") else { return nil }
      }
      position += 1
    }

    guard scheme == .sip || scheme == .sips else {
      guard start < end else { return nil }
      var userEnd = end
      if scheme == .tel {
        userEnd = start
        while userEnd < end, bytes[userEnd] != UInt8(ascii: ";") { userEnd += 1 }
        guard userEnd > start else { return nil }
      }
      return URIParts(
        scheme: scheme, schemeRange: schemeRange, user: start..<userEnd, password: nil, host: end..<end,
        port: -1, parameters: userEnd..<end, headers: nil)
    }

    var user: Range<Int>?
    var password: Range<Int>?
    var hostStart = start
    if at >= 0 {
      var userEnd = at
      while userEnd > start, ASCII.isLinearBlank(bytes[userEnd - 1]) { userEnd -= 1 }
      guard userEnd > start else { return nil }
      var split = start
      while split < userEnd, bytes[split] != UInt8(ascii: ":") { split += 1 }
      guard split > start else { return nil }
      user = start..<split
      if split < userEnd { password = split + 1..<userEnd }
      hostStart = at + 1
    }
    guard let hostEnd = skipHost(bytes, hostStart, end) else { return nil }
    position = hostEnd
    var port: Int32 = -1
    if position < end, bytes[position] == UInt8(ascii: ":") {
      var portEnd = position + 1
      while portEnd < end, ASCII.isDigit(bytes[portEnd]) { portEnd += 1 }
      guard let value = number(bytes, position + 1..<portEnd, limit: 65_535) else { return nil }
      port = Int32(value)
      position = portEnd
    }
    let parametersStart = position
    var question = position
    while question < end, bytes[question] != UInt8(ascii: "?") { question += 1 }
    guard position == question || bytes[position] == UInt8(ascii: ";") else { return nil }
    // Every parameter has a name.
    while position < question {
      position += 1
      guard position < question, bytes[position] != UInt8(ascii: ";"), bytes[position] != UInt8(ascii: "=")
      else { return nil }
      while position < question, bytes[position] != UInt8(ascii: ";") { position += 1 }
    }
    return URIParts(
      scheme: scheme, schemeRange: schemeRange, user: user, password: password, host: hostStart..<hostEnd,
      port: port, parameters: parametersStart..<question, headers: question < end ? question + 1..<end : nil)
  }

  @inline(__always) private static func isSchemeByte(_ byte: UInt8) -> Bool {
    ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")
      || byte == UInt8(ascii: ".")
  }

  /// The end of the host name, IPv4 address or bracketed IPv6 reference at `start`. IPv6 is checked by its
  /// letters only: RFC 5118, 4.10 asks to take the `:::` that an early grammar allowed.
  static func skipHost(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int? {
    var position = start
    guard position < end else { return nil }
    if bytes[position] == UInt8(ascii: "[") {
      position += 1
      while position < end,
        ASCII.hexValue(bytes[position]) != nil || bytes[position] == UInt8(ascii: ":")
          || bytes[position] == UInt8(ascii: ".")
      { position += 1 }
      guard position < end, bytes[position] == UInt8(ascii: "]"), position > start + 2 else { return nil }
      return position + 1
    }
    while position < end, isHostByte(bytes[position]) { position += 1 }
    return position > start ? position : nil
  }

  /// Letters, digits, dot, hyphen; and the underscore that no host may have and many do.
  @inline(__always) private static func isHostByte(_ byte: UInt8) -> Bool {
    isIn(0x03FF_6000_0000_0000, 0x07FF_FFFE_87FF_FFFE, byte)
  }

  // MARK: From, To, Contact, Route …

  struct AddressParts {
    /// As written, quotes included; empty if there is none.
    @Packed var display: Range<Int>
    var uri: URIParts
    @Packed var uriRange: Range<Int>
    var isBracketed: Bool
    /// From the first `;` to `end`.
    @Packed var parameters: Range<Int>
    @PackedOptional var tag: Range<Int>?
    /// The comma before the next value, or the end of the field.
    var end: Int
  }

  /// A `name-addr` or `addr-spec` with its parameters, at `start`.
  static func address(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> AddressParts? {
    var position = skipBlanks(bytes, start, end)
    guard position < end else { return nil }
    var display = position..<position
    var isBracketed = false
    if bytes[position] == UInt8(ascii: "\"") {
      guard let close = skipQuoted(bytes, position, end) else { return nil }
      display = position..<close
      position = skipBlanks(bytes, close, end)
      guard position < end, bytes[position] == UInt8(ascii: "<") else { return nil }
      isBracketed = true
    } else {
      // Tokens and blanks lead either to a bracket or to the colon of a scheme. Letters beyond ASCII ought to be
      // quoted, but panels send names as they were typed.
      var scan = position
      while scan < end, ASCII.isToken(bytes[scan]) || ASCII.isLinearBlank(bytes[scan]) || bytes[scan] >= 128 {
        scan += 1
      }
      guard scan < end else { return nil }
      if bytes[scan] == UInt8(ascii: "<") {
        var last = scan
        while last > position, ASCII.isLinearBlank(bytes[last - 1]) { last -= 1 }
        display = position..<last
        position = scan
        isBracketed = true
      } else if bytes[scan] != UInt8(ascii: ":") {
        return nil
      }
    }

    let uriRange: Range<Int>
    if isBracketed {
      var close = position + 1
      while close < end, bytes[close] != UInt8(ascii: ">") { close += 1 }
      guard close < end else { return nil }
      uriRange = position + 1..<close
      position = skipBlanks(bytes, close + 1, end)
    } else {
      // Without brackets `;` begins the header's own parameters, and a `?` would be anybody's guess.
      var close = position
      scan: while close < end {
        switch bytes[close] {
        case UInt8(ascii: ";"), UInt8(ascii: ","): break scan
        case UInt8(ascii: "?"): return nil
        case 9, 10, 13, 32:
          let next = skipBlanks(bytes, close, end)
          guard next < end, bytes[next] == UInt8(ascii: "@") else { break scan }
          close = next
        default: close += 1
        }
      }
      uriRange = position..<close
      position = skipBlanks(bytes, close, end)
    }
    guard let uri = uri(bytes, uriRange, isLoose: !isBracketed) else { return nil }

    let parametersStart = position
    var tag: Range<Int>?
    while position < end, bytes[position] != UInt8(ascii: ",") {
      guard bytes[position] == UInt8(ascii: ";"), let parameter = parameter(bytes, position, end) else {
        return nil
      }
      if tag == nil, equals(bytes, parameter.name, .tag) { tag = parameter.value }
      position = parameter.next
    }
    return AddressParts(
      display: display, uri: uri, uriRange: uriRange, isBracketed: isBracketed,
      parameters: parametersStart..<position, tag: tag, end: position)
  }

  // MARK: Via, CSeq

  struct ViaParts {
    @Packed var transport: Range<Int>
    @Packed var host: Range<Int>
    var port: Int32
    /// From the first `;` to `end`.
    @Packed var parameters: Range<Int>
    @PackedOptional var branch: Range<Int>?
    /// The `rport` parameter, name and value.
    @PackedOptional var rport: Range<Int>?
    var end: Int
  }

  /// One value of a Via, at `start`.
  static func via(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> ViaParts? {
    var position = skipBlanks(bytes, start, end)
    for part in 0..<3 {
      let word = skipToken(bytes, position, end)
      guard word > position else { return nil }
      if part == 2 {
        let transport = position..<word
        guard word < end, ASCII.isLinearBlank(bytes[word]) else { return nil }
        return viaRest(bytes, transport, skipBlanks(bytes, word, end), end)
      }
      position = skipBlanks(bytes, word, end)
      guard position < end, bytes[position] == UInt8(ascii: "/") else { return nil }
      position = skipBlanks(bytes, position + 1, end)
    }
    return nil
  }

  private static func viaRest(
    _ bytes: Span<UInt8>, _ transport: Range<Int>, _ hostStart: Int, _ end: Int
  ) -> ViaParts? {
    guard let hostEnd = skipHost(bytes, hostStart, end) else { return nil }
    var position = skipBlanks(bytes, hostEnd, end)
    var port: Int32 = -1
    if position < end, bytes[position] == UInt8(ascii: ":") {
      let portStart = skipBlanks(bytes, position + 1, end)
      var portEnd = portStart
      while portEnd < end, ASCII.isDigit(bytes[portEnd]) { portEnd += 1 }
      guard let value = number(bytes, portStart..<portEnd, limit: 65_535) else { return nil }
      port = Int32(value)
      position = skipBlanks(bytes, portEnd, end)
    }
    let parametersStart = position
    var branch: Range<Int>?
    var rport: Range<Int>?
    while position < end, bytes[position] != UInt8(ascii: ",") {
      guard bytes[position] == UInt8(ascii: ";"), let parameter = parameter(bytes, position, end) else {
        return nil
      }
      if equals(bytes, parameter.name, .branch) {
        if branch == nil { branch = parameter.value }
      } else if equals(bytes, parameter.name, .rport) {
        rport = parameter.name.lowerBound..<(parameter.value?.upperBound ?? parameter.name.upperBound)
      }
      position = parameter.next
    }
    return ViaParts(
      transport: transport, host: hostStart..<hostEnd, port: port,
      parameters: parametersStart..<position, branch: branch, rport: rport, end: position)
  }

  /// `CSeq`: the number, and where the method lies.
  static func cseq(_ bytes: Span<UInt8>, _ range: Range<Int>) -> (number: UInt32, method: Range<Int>)? {
    var position = range.lowerBound
    while position < range.upperBound, ASCII.isDigit(bytes[position]) { position += 1 }
    guard
      let value = number(bytes, range.lowerBound..<position, limit: UInt64(UInt32.max)),
      position < range.upperBound, ASCII.isLinearBlank(bytes[position])
    else { return nil }
    let methodStart = skipBlanks(bytes, position, range.upperBound)
    guard methodStart < range.upperBound,
      skipToken(bytes, methodStart, range.upperBound) == range.upperBound
    else { return nil }
    return (UInt32(value), methodStart..<range.upperBound)
  }

  // MARK: Lists

  /// The values of a comma-parted list, without the blanks around them; commas in quotes and in brackets do not
  /// part. Empty values are left out.
  static func list(_ bytes: Span<UInt8>, _ range: Range<Int>) -> [Range<Int>] {
    var result: [Range<Int>] = []
    var start = range.lowerBound
    var position = start
    var isBracketed = false
    func take(_ end: Int) {
      let first = skipBlanks(bytes, start, end)
      var last = end
      while last > first, ASCII.isLinearBlank(bytes[last - 1]) { last -= 1 }
      if last > first { result.append(first..<last) }
    }
    while position < range.upperBound {
      switch bytes[position] {
      case UInt8(ascii: "\"") where !isBracketed:
        position = min(skipQuoted(bytes, position, range.upperBound) ?? range.upperBound, range.upperBound)
        continue
      case UInt8(ascii: "<"): isBracketed = true
      case UInt8(ascii: ">"): isBracketed = false
      case UInt8(ascii: ",") where !isBracketed:
        take(position)
        start = position + 1
      default: break
      }
      position += 1
    }
    take(range.upperBound)
    return result
  }
}
