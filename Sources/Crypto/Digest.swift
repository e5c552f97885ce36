internal import COpenSSL
internal import Glibc

/// Hashes and the keyed hash over OpenSSL, quick on the short inputs that digest authentication makes.
///
/// The algorithms are fetched once per process, and each thread keeps its contexts, so a digest costs neither a
/// look-up nor an allocation beyond its result. Any thread may call.
package enum Digest {
  /// 16 bytes (RFC 1321). For RFC 7616's MD5 and nothing else.
  package static func md5(_ bytes: [UInt8]) -> [UInt8] { Engine.digest(.md5, bytes.span) }
  package static func md5(_ bytes: Span<UInt8>) -> [UInt8] { Engine.digest(.md5, bytes) }
  /// 20 bytes. For the fingerprints and keys of older protocols.
  package static func sha1(_ bytes: [UInt8]) -> [UInt8] { Engine.digest(.sha1, bytes.span) }
  package static func sha1(_ bytes: Span<UInt8>) -> [UInt8] { Engine.digest(.sha1, bytes) }
  /// 32 bytes (FIPS 180-4).
  package static func sha256(_ bytes: [UInt8]) -> [UInt8] { Engine.digest(.sha256, bytes.span) }
  package static func sha256(_ bytes: Span<UInt8>) -> [UInt8] { Engine.digest(.sha256, bytes) }

  /// 32 bytes (RFC 2104 over SHA-256). The key may have any length.
  package static func hmacSHA256(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
    hmacSHA256(key: key, message.span)
  }
  package static func hmacSHA256(key: [UInt8], _ message: Span<UInt8>) -> [UInt8] {
    let short = key.count > 64 ? sha256(key) : key
    var inner = [UInt8](repeating: 0x36, count: 64)
    var outer = [UInt8](repeating: 0x5C, count: 64)
    for (index, byte) in short.enumerated() {
      inner[index] ^= byte
      outer[index] ^= byte
    }
    let first = Engine.digest(.sha256, inner.span, message)
    return Engine.digest(.sha256, outer.span, first.span)
  }

  /// 20 bytes (RFC 2104 over SHA-1) of a message that lies in two pieces, without an allocation. The key has at
  /// most 64 bytes; a longer one is hashed first.
  package static func hmacSHA1(
    key: [UInt8], _ head: Span<UInt8>, _ tail: Span<UInt8>
  ) -> InlineArray<20, UInt8> {
    let (inner, outer) = pads(key.count > 64 ? sha1(key) : key)
    var result = InlineArray<20, UInt8>(repeating: 0)
    Engine.digest(.sha1, inner.span, head, tail, into: &result)
    let first = result
    Engine.digest(.sha1, outer.span, first.span, Span(), into: &result)
    return result
  }

  /// 32 bytes: the same over SHA-256.
  package static func hmacSHA256(
    key: [UInt8], _ head: Span<UInt8>, _ tail: Span<UInt8>
  ) -> InlineArray<32, UInt8> {
    let (inner, outer) = pads(key.count > 64 ? sha256(key) : key)
    var result = InlineArray<32, UInt8>(repeating: 0)
    Engine.digest(.sha256, inner.span, head, tail, into: &result)
    let first = result
    Engine.digest(.sha256, outer.span, first.span, Span(), into: &result)
    return result
  }

  /// The key, padded to a block and blended with each of RFC 2104's two constants.
  private static func pads(_ key: [UInt8]) -> (inner: InlineArray<64, UInt8>, outer: InlineArray<64, UInt8>) {
    var inner = InlineArray<64, UInt8>(repeating: 0x36)
    var outer = InlineArray<64, UInt8>(repeating: 0x5C)
    for index in key.indices {
      inner[index] ^= key[index]
      outer[index] ^= key[index]
    }
    return (inner, outer)
  }

  /// Whether both are equal, in a time that depends on their lengths only.
  package static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    var difference: UInt8 = 0
    for index in left.indices { difference |= left[index] ^ right[index] }
    return difference == 0
  }
}

private enum Algorithm: Int {
  case md5, sha1, sha256
}

private enum Engine {
  /// The fetched algorithms, never freed.
  // Written once by the lazy initialiser and only read afterwards; OpenSSL's EVP_MD may be shared by threads.
  nonisolated(unsafe) private static let algorithms = unsafe (
    fetched("MD5"), fetched("SHA1"), fetched("SHA256")
  )

  private static func fetched(_ name: StaticString) -> OpaquePointer {
    let text = unsafe UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
    guard let found = unsafe EVP_MD_fetch(nil, text, nil) else {
      preconditionFailure("OpenSSL lacks a digest that we need")
    }
    return unsafe found
  }

  /// Where each thread keeps its three contexts; freed when the thread ends.
  private static let threadKey: pthread_key_t = {
    var key: pthread_key_t = 0
    let status = unsafe pthread_key_create(&key) { contexts in
      guard let contexts = unsafe contexts else { return }
      let list = unsafe contexts.assumingMemoryBound(to: OpaquePointer?.self)
      for index in 0..<3 { unsafe EVP_MD_CTX_free(list[index]) }
      unsafe list.deallocate()
    }
    precondition(status == 0, "no thread-specific key left")
    return key
  }()

  private static func context(_ algorithm: Algorithm) -> OpaquePointer {
    let list: UnsafeMutablePointer<OpaquePointer?>
    if let known = unsafe pthread_getspecific(threadKey) {
      unsafe list = known.assumingMemoryBound(to: OpaquePointer?.self)
    } else {
      unsafe list = .allocate(capacity: 3)
      unsafe list.initialize(repeating: nil, count: 3)
      let status = unsafe pthread_setspecific(threadKey, list)
      precondition(status == 0, "no memory for a thread's digest contexts")
    }
    if let known = unsafe list[algorithm.rawValue] { return unsafe known }
    guard let made = unsafe EVP_MD_CTX_new() else { preconditionFailure("no memory for a digest context") }
    unsafe list[algorithm.rawValue] = made
    return unsafe made
  }

  /// The digest of `first` followed by `second`.
  static func digest(
    _ algorithm: Algorithm, _ first: Span<UInt8>, _ second: Span<UInt8> = Span()
  ) -> [UInt8] {
    let context = unsafe context(algorithm)
    let method: OpaquePointer
    let size: Int
    switch algorithm {
    case .md5:
      unsafe method = algorithms.0
      size = 16
    case .sha1:
      unsafe method = algorithms.1
      size = 20
    case .sha256:
      unsafe method = algorithms.2
      size = 32
    }
    var status = unsafe EVP_DigestInit_ex2(context, method, nil)
    status &= unsafe first.withUnsafeBufferPointer {
      unsafe EVP_DigestUpdate(context, $0.baseAddress, $0.count)
    }
    if !second.isEmpty {
      status &= unsafe second.withUnsafeBufferPointer {
        unsafe EVP_DigestUpdate(context, $0.baseAddress, $0.count)
      }
    }
    let result = unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      status &= unsafe EVP_DigestFinal_ex(context, buffer.baseAddress, nil)
      count = size
    }
    precondition(status == 1, "OpenSSL failed to digest")
    return result
  }

  /// The digest of three pieces, written over `result`, which must be as long as the algorithm's digest.
  static func digest<let size: Int>(
    _ algorithm: Algorithm, _ first: Span<UInt8>, _ second: Span<UInt8>, _ third: Span<UInt8>,
    into result: inout InlineArray<size, UInt8>
  ) {
    let context = unsafe context(algorithm)
    let method: OpaquePointer
    switch algorithm {
    case .md5: unsafe method = algorithms.0
    case .sha1: unsafe method = algorithms.1
    case .sha256: unsafe method = algorithms.2
    }
    precondition(unsafe Int(EVP_MD_get_size(method)) == size, "a digest's room has another size")
    var status = unsafe EVP_DigestInit_ex2(context, method, nil)
    status &= unsafe first.withUnsafeBufferPointer { piece in
      unsafe EVP_DigestUpdate(context, piece.baseAddress, piece.count)
    }
    status &= unsafe second.withUnsafeBufferPointer { piece in
      unsafe EVP_DigestUpdate(context, piece.baseAddress, piece.count)
    }
    status &= unsafe third.withUnsafeBufferPointer { piece in
      unsafe EVP_DigestUpdate(context, piece.baseAddress, piece.count)
    }
    var room = result.mutableSpan
    status &= unsafe room.withUnsafeMutableBufferPointer { room in
      unsafe EVP_DigestFinal_ex(context, room.baseAddress, nil)
    }
    precondition(status == 1, "OpenSSL failed to digest")
  }
}
