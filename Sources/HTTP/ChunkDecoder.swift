internal import Wire

/// Takes a chunked body apart (RFC 9112 section 7.1). Extensions and trailer fields are read, bounded and dropped.
package struct ChunkDecoder: Sendable {
  private enum State: Sendable {
    /// In a size, after `digits` of it.
    case size(UInt64, digits: Int)
    /// In an extension; its length so far.
    case `extension`(UInt64, length: Int)
    /// After the CR of a size line.
    case sizeEnd(UInt64)
    /// In data, with so many bytes to come.
    case data(UInt64)
    /// Before the CR, then before the LF, that follow data.
    case dataCR, dataLF
    /// In the trailer: length of this line and of all, and whether a CR was just read.
    case trailer(line: Int, total: Int, afterCR: Bool)
    case done
  }
  private var state = State.size(0, digits: 0)

  /// Hex digits of a size: 2^32 is far beyond any body we take.
  package static let mostSizeDigits = 8
  /// Bytes of one chunk's extensions.
  package static let longestExtension = 256
  /// Bytes of all trailer fields.
  package static let longestTrailer = 4096

  package init() {}

  /// Decodes from `position`, moving it past what was used, and appends data to `body`. True when the body has
  /// ended; what follows then belongs to the next message.
  package mutating func decode(
    _ bytes: Span<UInt8>, _ position: inout Int, into body: inout [UInt8]
  ) throws(HTTPFault) -> Bool {
    while position < bytes.count {
      if case .data(let left) = state {
        let count = min(left, UInt64(bytes.count - position))
        for index in position..<position + Int(count) { body.append(bytes[index]) }
        position += Int(count)
        state = left == count ? .dataCR : .data(left - count)
        continue
      }
      let byte = bytes[position]
      position += 1
      switch state {
      case .size(let size, let digits):
        if let value = ASCII.hexValue(byte) {
          guard digits < ChunkDecoder.mostSizeDigits else { throw .bodyTooLong }
          state = .size(size << 4 | UInt64(value), digits: digits + 1)
        } else {
          guard digits > 0 else { throw .malformedChunk }
          switch byte {
          case 13: state = .sizeEnd(size)
          case UInt8(ascii: ";"), 32, 9: state = .extension(size, length: 1)
          default: throw .malformedChunk
          }
        }
      case .extension(let size, let length):
        guard length <= ChunkDecoder.longestExtension else { throw .malformedChunk }
        if byte == 13 {
          state = .sizeEnd(size)
        } else {
          guard byte >= 32 && byte != 127 || byte == 9 else { throw .malformedChunk }
          state = .extension(size, length: length + 1)
        }
      case .sizeEnd(let size):
        guard byte == 10 else { throw .malformedChunk }
        state = size == 0 ? .trailer(line: 0, total: 0, afterCR: false) : .data(size)
      case .data: break
      case .dataCR:
        guard byte == 13 else { throw .malformedChunk }
        state = .dataLF
      case .dataLF:
        guard byte == 10 else { throw .malformedChunk }
        state = .size(0, digits: 0)
      case .trailer(let line, let total, let afterCR):
        guard total < ChunkDecoder.longestTrailer else { throw .headTooLong }
        if afterCR {
          guard byte == 10 else { throw .malformedChunk }
          if line == 0 {
            state = .done
            return true
          }
          state = .trailer(line: 0, total: total + 1, afterCR: false)
        } else if byte == 13 {
          state = .trailer(line: line, total: total + 1, afterCR: true)
        } else {
          guard byte >= 32 || byte == 9 else { throw .malformedChunk }
          state = .trailer(line: line + 1, total: total + 1, afterCR: false)
        }
      case .done:
        position -= 1
        return true
      }
    }
    if case .done = state { return true }
    return false
  }
}

/// Puts a chunked body together.
package enum ChunkEncoder {
  /// Appends `data` as one chunk; nothing for no data, since an empty chunk would end the body.
  package static func append(_ data: [UInt8], to out: inout [UInt8]) {
    guard !data.isEmpty else { return }
    out.append(contentsOf: String(data.count, radix: 16).utf8)
    out.append(13)
    out.append(10)
    out.append(contentsOf: data)
    out.append(13)
    out.append(10)
  }

  /// Appends the last chunk.
  package static func appendEnd(to out: inout [UInt8]) { out.append(contentsOf: "0\r\n\r\n".utf8) }
}
