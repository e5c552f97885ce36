internal import CQRencode

/// A QR code (ISO/IEC 18004) of a link: its modules, without the quiet zone around them.
package struct QRCode: Hashable, Sendable {
  /// One text a row, `1` for a dark module and `0` for a light one; as many rows as columns.
  package let rows: [String]

  /// Correction level M: 15 % of it may be unreadable. Nil when the text is too long, 2,331 bytes.
  package init?(_ text: String) {
    guard !text.isEmpty, text.utf8.count <= 2331 else { return nil }
    guard let code = unsafe QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M) else { return nil }
    defer { unsafe QRcode_free(code) }
    let width = Int(unsafe code.pointee.width)
    guard width > 0, let modules = unsafe code.pointee.data else { return nil }
    rows = (0..<width).map { row in
      var text = ""
      for column in 0..<width {
        // The lowest bit is the module, the others say what it is part of.
        text += unsafe modules[row * width + column] & 1 == 1 ? "1" : "0"
      }
      return text
    }
  }
}
