// Our media ports: pairs of an even and the next odd one, taken in turn, so that a port that was just given up is
// the last to be used again and late packets of an ended call meet nobody.

internal import Wire

struct PortPair: Hashable {
  let even: UInt16
  let rtp: SocketID
  let rtcp: SocketID
}

struct Ports {
  private let first: UInt16
  private var taken: [Bool]
  private var cursor: Int

  /// `start` spreads where the turn begins.
  init(_ range: ClosedRange<UInt16>, start: UInt64) {
    let even = UInt32(range.lowerBound) + UInt32(range.lowerBound & 1)
    let count = max(0, (Int(range.upperBound) + 1 - Int(even)) / 2)
    first = UInt16(truncatingIfNeeded: even)
    taken = Array(repeating: false, count: count)
    cursor = count == 0 ? 0 : Int(start % UInt64(count))
  }

  mutating func open(
    at address: IPAddress, _ options: DatagramOptions, in world: any World
  ) throws(MediaFailure) -> PortPair {
    for _ in 0..<taken.count {
      let place = cursor
      cursor = (cursor + 1) % taken.count
      guard !taken[place] else { continue }
      let even = first + UInt16(2 * place)
      do throws(NetworkFailure) {
        let rtp = try world.openDatagram(Endpoint(address, port: even), options)
        do throws(NetworkFailure) {
          let rtcp = try world.openDatagram(Endpoint(address, port: even + 1), options)
          taken[place] = true
          return PortPair(even: even, rtp: rtp, rtcp: rtcp)
        } catch {
          world.close(rtp, flushing: false)
          throw error
        }
      } catch {
        // Somebody else's port: the next pair.
        guard error == .addressInUse else { throw .network(error) }
      }
    }
    throw .noPorts
  }

  mutating func close(_ pair: PortPair, in world: any World) {
    world.close(pair.rtp, flushing: false)
    world.close(pair.rtcp, flushing: false)
    taken[Int(pair.even - first) / 2] = false
  }
}
