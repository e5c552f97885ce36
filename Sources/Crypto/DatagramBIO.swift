internal import COpenSSL

/// The two ends of a DTLS session's BIO: one datagram at a time goes in, whole datagrams come out.
///
/// A memory BIO of OpenSSL's is a stream and would glue records of two datagrams together. Here a read gives one
/// datagram or nothing, and each write is one datagram.
@safe  // The lent memory is read inside the call that lends it, and nowhere else.
final class DatagramQueue {
  /// The most bytes that wait to be sent. A flight has about 1,200; what does not fit is lost as on any network, and
  /// sent again.
  static let limit = 16_384

  /// The datagram that is being taken in; its memory is lent for the length of one call.
  var input: UnsafeBufferPointer<UInt8>? = nil
  /// Bytes of datagrams to send, one after another.
  var output: [UInt8] = []
  /// Their lengths.
  var lengths: [Int] = []
  var lost = 0

  func take(_ length: Int) {
    output.removeFirst(length)
    lengths.removeFirst()
  }
}

/// How OpenSSL calls a `DatagramQueue`.
enum DatagramBIO {
  /// Reading, writing, special, retry.
  private static let everyFlag: Int32 = 15

  // Made once by the lazy initialiser, never freed or changed; OpenSSL's BIO_METHOD may be shared by threads.
  nonisolated(unsafe) private static let method: OpaquePointer = unsafe makeMethod()

  /// A BIO over `queue`, which must live as long as the BIO does.
  static func make(over queue: DatagramQueue) -> OpaquePointer {
    guard let made = unsafe BIO_new(method) else { preconditionFailure("no memory for a BIO") }
    unsafe BIO_set_data(made, Unmanaged.passUnretained(queue).toOpaque())
    unsafe BIO_set_init(made, 1)
    return unsafe made
  }

  private static func makeMethod() -> OpaquePointer {
    let kind = BIO_get_new_index() | Int32(BIO_TYPE_SOURCE_SINK)
    guard let made = unsafe BIO_meth_new(kind, "datagrams") else {
      preconditionFailure("no memory for a BIO")
    }
    unsafe BIO_meth_set_read(made) { bio, room, size in
      unsafe BIO_clear_flags(bio, DatagramBIO.everyFlag)
      let queue = unsafe DatagramBIO.queue(bio)
      guard let datagram = unsafe queue.input, let room = unsafe room, size > 0 else {
        unsafe BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
        return -1
      }
      unsafe queue.input = nil
      let length = min(Int(size), datagram.count)
      unsafe UnsafeMutableRawPointer(room).copyMemory(from: datagram.baseAddress!, byteCount: length)
      return Int32(length)
    }
    unsafe BIO_meth_set_write(made) { bio, bytes, size in
      unsafe BIO_clear_flags(bio, DatagramBIO.everyFlag)
      guard let bytes = unsafe bytes, size > 0 else { return 0 }
      let queue = unsafe DatagramBIO.queue(bio)
      let datagram = unsafe UnsafeRawBufferPointer(start: bytes, count: Int(size))
      if queue.output.count + datagram.count <= DatagramQueue.limit {
        unsafe queue.output.append(contentsOf: datagram)
        queue.lengths.append(datagram.count)
      } else {
        queue.lost += 1
      }
      return size
    }
    unsafe BIO_meth_set_ctrl(made) { _, command, _, _ in
      switch command {
      case BIO_CTRL_FLUSH, BIO_CTRL_DUP: 1
      default: 0
      }
    }
    return unsafe made
  }

  private static func queue(_ bio: OpaquePointer?) -> DatagramQueue {
    unsafe Unmanaged<DatagramQueue>.fromOpaque(BIO_get_data(bio)).takeUnretainedValue()
  }
}
