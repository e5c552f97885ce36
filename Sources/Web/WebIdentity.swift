package import Wire

/// Who sent a request, as far as its route had to know.
package enum WebIdentity: Hashable, Sendable {
  case anybody
  /// A process of this machine that may operate the gateway.
  case local(LocalPeer)
  /// A device, by its token.
  case device(DeviceIdentity)
  /// Whoever shows a token for looking through one camera.
  case viewer(ViewGrant)
}

/// A device of an account: whose it is, and the credential that its token belongs to and ends with.
package struct DeviceIdentity: Hashable, Sendable {
  package var account: String
  package var credential: UInt64

  package init(account: String, credential: UInt64) {
    self.account = account
    self.credential = credential
  }
}

package enum WebVerdict: Sendable {
  case admitted(WebIdentity)
  case refused(WebReply)
}

/// Knows the tokens by which cameras are seen.
package protocol ViewGrants: AnyObject {
  /// What a token is good for at this moment; nil for none.
  func grant(of token: String) -> ViewGrant?
}

/// Knows the tokens of devices by their SHA-256: no more than that is kept of them.
package protocol DeviceTokens: AnyObject {
  /// Whose token has this digest; nil when it was never given, has ended or was revoked.
  func device(tokenDigest: [UInt8], from peer: WebPeer) -> DeviceIdentity?
}
