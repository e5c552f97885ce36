/// Who an admitted peer is: the only identity that counts, whatever From or other headers say.
package enum Identity: Sendable, Equatable {
  /// Proved by digest with this credential.
  case account(String, credential: UInt64)
  /// A door station: proved by digest with this credential, or, without one, by its provisioned address.
  case station(String, credential: UInt64?)
}
