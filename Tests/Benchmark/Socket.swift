import Glibc

/// A UDP socket of the load: plain and blocking, with a receive timeout.
@safe  // Pointers to locals live for one call each.
struct LoadSocket: ~Copyable {
  let descriptor: Int32
  let port: UInt16

  /// Binds `address` (dotted quad) with any port, or the one given. A stream's socket only shows which port is free.
  init(_ address: String, port wanted: UInt16 = 0, timeoutMilliseconds: Int = 200, stream: Bool = false) {
    let number = socket(AF_INET, Int32((stream ? SOCK_STREAM : SOCK_DGRAM).rawValue), 0)
    var local = socketAddress(address, wanted)
    let bound = unsafe withUnsafePointer(to: &local) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(number, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    precondition(bound == 0, "cannot bind \(address):\(wanted)")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    _ = unsafe withUnsafeMutablePointer(to: &local) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe getsockname(number, $0, &length)
      }
    }
    descriptor = number
    port = UInt16(bigEndian: local.sin_port)
    var size: Int32 = 4 << 20
    unsafe setsockopt(number, SOL_SOCKET, SO_RCVBUF, &size, 4)
    var timeout = timeval(tv_sec: timeoutMilliseconds / 1000, tv_usec: timeoutMilliseconds % 1000 * 1000)
    unsafe setsockopt(
      number, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  func send(_ bytes: [UInt8], to address: String, _ remotePort: UInt16) {
    var remote = socketAddress(address, remotePort)
    _ = unsafe withUnsafePointer(to: &remote) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe sendto(descriptor, bytes, bytes.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  /// A part of a buffer, to an address that was made before.
  func send(_ bytes: [UInt8], _ range: Range<Int>, to remote: sockaddr_in) {
    var remote = remote
    _ = unsafe bytes.withUnsafeBufferPointer { all in
      unsafe withUnsafePointer(to: &remote) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe sendto(
            descriptor, all.baseAddress! + range.lowerBound, range.count, Int32(MSG_DONTWAIT), $0,
            socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
    }
  }

  /// The next datagram as text; nil after the timeout (at once when not `waiting`).
  func receive(waiting: Bool = true) -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = unsafe recv(descriptor, &buffer, buffer.count, waiting ? 0 : Int32(MSG_DONTWAIT))
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
  }

  /// When the kernel took in the last datagram received here, in seconds of the wall clock; nil before the kernel
  /// was first asked, which makes it note the time from then on.
  func arrival() -> Double? {
    var time = timespec()
    // SIOCGSTAMPNS
    guard unsafe ioctl(descriptor, 0x8907, &time) == 0 else { return nil }
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// Drops everything that waits; gives back how many datagrams that were.
  func drain() -> Int {
    var buffer = [UInt8](repeating: 0, count: 4096)
    var count = 0
    while unsafe recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT)) > 0 { count += 1 }
    return count
  }
}

func socketAddress(_ address: String, _ port: UInt16) -> sockaddr_in {
  var result = sockaddr_in()
  result.sin_family = sa_family_t(AF_INET)
  result.sin_port = port.bigEndian
  result.sin_addr.s_addr = unsafe inet_addr(address)
  return result
}

/// The value of a header field in a SIP message, or of a parameter in a digest challenge.
func field(_ name: String, in message: String) -> String? {
  for line in message.split(separator: "\r\n") where line.hasPrefix(name + ":") {
    return String(line.dropFirst(name.count + 1).drop { $0 == " " })
  }
  return nil
}

func quoted(_ name: String, in text: String) -> String? {
  let marker = Array((name + "=\"").utf8)
  let bytes = Array(text.utf8)
  guard bytes.count > marker.count else { return nil }
  for start in 0...(bytes.count - marker.count)
  where bytes[start..<start + marker.count].elementsEqual(marker) {
    let rest = bytes[(start + marker.count)...]
    guard let end = rest.firstIndex(of: UInt8(ascii: "\"")) else { return nil }
    return String(decoding: rest[..<end], as: UTF8.self)
  }
  return nil
}
