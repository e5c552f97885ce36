internal import Codecs
package import RTP
package import Wire

// Snapshots: key pictures as JPEG files.
//
// Decoding and coding again is a worker's; the result comes back on the thread that asked. Assumes key pictures with
// their parameter sets, as every source gives them. Who may see a snapshot, and where it is kept, is somebody else's.

package final class Snapshots {
  /// Snapshots that may be under way at a time: more would only come late, each holding its picture.
  package static let most = 8

  private let world: any World
  private var underWay = 0

  package init(world: any World) { self.world = world }

  /// Makes a JPEG of a key picture and hands it to `then`, later. False, and `then` is never called, while too many are
  /// under way.
  package func take(
    of picture: AccessUnit, then: @escaping (Result<[UInt8], SourceFault>) -> Void
  ) -> Bool {
    guard underWay < Snapshots.most else { return false }
    underWay += 1
    world.perform(on: .general) {
      Snapshots.jpeg(of: picture)
    } then: { [weak self] result in
      self?.underWay -= 1
      then(result)
    }
    return true
  }

  /// May take a tenth of a second.
  package static func jpeg(of picture: AccessUnit) -> Result<[UInt8], SourceFault> {
    guard picture.isKey else {
      return .failure(SourceFault(.coding, "a snapshot can be made of a key picture only"))
    }
    do throws(VideoFault) {
      var decoder = try VideoDecoder(.h264)
      var shown: Picture?
      let bytes = picture.annexB
      if !decoder.decode(bytes.span, into: &shown) { _ = decoder.finish(into: &shown) }
      guard let shown else {
        return .failure(SourceFault(.coding, "the camera's picture cannot be decoded"))
      }
      return .success(try JPEG.encode(shown))
    } catch {
      return .failure(SourceFault(.coding, "no snapshot can be made: \(error)"))
    }
  }
}

extension AccessUnit {
  /// Its NAL units with start codes (ITU-T H.264 annex B), as decoders want them.
  package var annexB: [UInt8] {
    var stream: [UInt8] = []
    stream.reserveCapacity(bytes.count + 4 * units.count)
    for unit in units {
      stream += [0, 0, 0, 1]
      stream += bytes[unit]
    }
    return stream
  }
}
