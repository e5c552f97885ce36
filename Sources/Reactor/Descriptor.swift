internal import CLinux
import Wire

/// A file descriptor and the duty to close it.
struct Descriptor: ~Copyable {
  let number: Int32

  init(_ number: Int32) { self.number = number }

  deinit { clinux_close(number) }
}

extension NetworkFailure {
  /// What the kernel meant by `errno`.
  init(errno code: Int32) {
    switch code {
    case 98: self = .addressInUse  // EADDRINUSE
    case 99, 97: self = .addressNotAvailable  // EADDRNOTAVAIL, EAFNOSUPPORT
    case 1, 13: self = .notPermitted  // EPERM, EACCES
    case 111: self = .refused  // ECONNREFUSED
    case 101, 113: self = .unreachable  // ENETUNREACH, EHOSTUNREACH
    case 110: self = .timedOut  // ETIMEDOUT
    case 104, 32: self = .reset  // ECONNRESET, EPIPE
    case 23, 24: self = .tooManyOpen  // ENFILE, EMFILE
    default: self = .system(errno: code)
    }
  }
}

/// What epoll is asked to watch, and what it says has happened.
enum Happening {
  static let readable = UInt32(CLINUX_READABLE)
  static let writable = UInt32(CLINUX_WRITABLE)
  static let failed = UInt32(CLINUX_FAILED)
  static let hungUp = UInt32(CLINUX_HUNG_UP)
}

/// Numbers of the kernel that are tested for by name; the same on every Linux port we run on.
enum Errno {
  static let permission: Int32 = 1
  static let interrupted: Int32 = 4
  static let inputOutput: Int32 = 5
  static let again: Int32 = 11
  static let invalid: Int32 = 22
  static let tooManyFiles: Int32 = 23
  static let tooManyOwnFiles: Int32 = 24
  static let messageSize: Int32 = 90
  static let noProtocolOption: Int32 = 92
  static let notSupported: Int32 = 95
  static let aborted: Int32 = 103
}

extension Endpoint {
  init(_ raw: clinux_endpoint) {
    self.init(IPAddress(high: raw.high, low: raw.low), port: raw.port)
  }

  func raw(scope: UInt32 = 0) -> clinux_endpoint {
    clinux_endpoint(high: address.high, low: address.low, scope: scope, port: port)
  }
}

/// The kernel's words for an error number.
func errorText(_ code: Int32) -> String {
  var text = [CChar](repeating: 0, count: 128)
  unsafe clinux_error_text(code, &text, text.count)
  return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
