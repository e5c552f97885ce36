/// A QR code drawn for eyes: in a terminal, as SVG, as PNG.
///
/// `rows` are the code's modules, `1` for dark, without the quiet zone of four modules that every drawing adds.
struct QRPicture {
  static let quiet = 4
  private let modules: [[Bool]]

  init(rows: [String]) {
    let inner = rows.map { row in row.utf8.map { $0 == UInt8(ascii: "1") } }
    let width = (inner.first?.count ?? 0) + 2 * QRPicture.quiet
    let empty = [[Bool]](repeating: [Bool](repeating: false, count: width), count: QRPicture.quiet)
    let side = [Bool](repeating: false, count: QRPicture.quiet)
    modules = empty + inner.map { side + $0 + side } + empty
  }

  private var width: Int { modules.first?.count ?? 0 }

  /// Two rows a line in half blocks, light where the code is light. `isColoured`: says so to a terminal, so that it is
  /// right on a light background too.
  func text(isColoured: Bool) -> String {
    var text = ""
    for top in stride(from: 0, to: modules.count, by: 2) {
      if isColoured { text += "\u{1B}[40;97m" }
      for column in 0..<width {
        let below = top + 1 < modules.count ? modules[top + 1][column] : true
        switch (modules[top][column], below) {
        case (false, false): text += "█"
        case (false, true): text += "▀"
        case (true, false): text += "▄"
        case (true, true): text += " "
        }
      }
      text += isColoured ? "\u{1B}[0m\n" : "\n"
    }
    return text
  }

  var svg: String {
    var path = ""
    for (row, line) in modules.enumerated() {
      for (column, isDark) in line.enumerated() where isDark { path += "M\(column) \(row)h1v1h-1z" }
    }
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(modules.count)" shape-rendering="crispEdges">\
      <rect width="100%" height="100%" fill="#fff"/><path d="\(path)" fill="#000"/></svg>

      """
  }

  /// One bit a pixel, `scale` pixels a module; stored, not packed: it is a few kilobytes either way.
  func png(scale: Int = 8) -> [UInt8] {
    var raw: [UInt8] = []
    for line in modules {
      var row: [UInt8] = [0]
      var byte: UInt8 = 0
      var bits = 0
      for isDark in line {
        for _ in 0..<scale {
          byte = byte << 1 | (isDark ? 0 : 1)
          bits += 1
          if bits == 8 {
            row.append(byte)
            (byte, bits) = (0, 0)
          }
        }
      }
      if bits > 0 { row.append(byte << UInt8(8 - bits)) }
      for _ in 0..<scale { raw += row }
    }
    var picture: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    picture += QRPicture.chunk(
      "IHDR",
      QRPicture.big(UInt32(width * scale)) + QRPicture.big(UInt32(modules.count * scale)) + [1, 0, 0, 0, 0])
    picture += QRPicture.chunk("IDAT", QRPicture.stored(raw))
    return picture + QRPicture.chunk("IEND", [])
  }

  /// A zlib stream (RFC 1950) of stored blocks (RFC 1951 section 3.2.4).
  static func stored(_ bytes: [UInt8]) -> [UInt8] {
    var out: [UInt8] = [0x78, 0x01]
    var place = 0
    repeat {
      let end = min(place + 65_535, bytes.count)
      let count = UInt16(end - place)
      out.append(end == bytes.count ? 1 : 0)
      for value in [count, ~count] {
        out.append(UInt8(value & 0xFF))
        out.append(UInt8(value >> 8))
      }
      out += bytes[place..<end]
      place = end
    } while place < bytes.count
    var low: UInt32 = 1
    var high: UInt32 = 0
    for byte in bytes {
      low = (low + UInt32(byte)) % 65_521
      high = (high + low) % 65_521
    }
    return out + big(high << 16 | low)
  }

  private static func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
    let body = Array(type.utf8) + data
    var sum: UInt32 = 0xFFFF_FFFF
    for byte in body {
      sum ^= UInt32(byte)
      for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
    }
    return big(UInt32(data.count)) + body + big(~sum)
  }

  private static func big(_ value: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
  }
}
