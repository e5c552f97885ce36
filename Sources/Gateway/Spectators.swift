internal import API
internal import Cameras
internal import Crypto
internal import Directory
internal import SIP
internal import Web
internal import Wire

/// Who may look through a camera: what directory, calls and tokens together say at this moment.
///
/// Whoever came with a token looks while that stands: one that was given for a ring, while the account rings or talks in
/// that call, one that was asked for, until it expires. Operators may always; any other right of an account, its device's
/// own token or one it asked for, is good while its unit may see the camera.
final class Spectators: ViewAuthority, ViewGrants {
  weak var house: House?

  func grant(of token: String) -> ViewGrant? {
    guard let house else { return nil }
    return house.views.check(token, now: house.world.now)
  }

  func viewer(_ identity: WebIdentity, token: String?, of camera: CameraID) -> Result<Viewer, ViewRefusal> {
    guard let house else { return .failure(.notNow) }
    let isKnown = house.book.building.camera(camera) != nil
    let viewer: Viewer
    switch identity {
    case .anybody: return .failure(.notNow)
    case .local: viewer = Viewer(holder: "")
    case .viewer(let grant):
      guard grant.camera == camera.rawValue else { return .failure(.notNow) }
      viewer = Viewer(
        holder: grant.holder, unit: house.book.building.unit(of: AccountName(grant.holder)),
        call: grant.call, token: token, credential: grant.credential, until: grant.expires)
    case .device(let device):
      // The same answer for a camera that is not there and for one that may not be seen.
      viewer = Viewer(
        holder: device.account, unit: house.book.building.unit(of: AccountName(device.account)),
        credential: device.credential)
      return mayLook(viewer, through: camera) ? .success(viewer) : .failure(.notNow)
    }
    guard isKnown else { return .failure(.unknownCamera) }
    return mayLook(viewer, through: camera) ? .success(viewer) : .failure(.notNow)
  }

  func mayLook(_ viewer: Viewer, through camera: CameraID) -> Bool {
    guard let house else { return false }
    let building = house.book.building
    guard building.camera(camera) != nil else { return false }
    if let token = viewer.token, house.views.check(token, now: house.world.now) == nil { return false }
    if viewer.isOperator { return true }
    let account = AccountName(viewer.holder)
    if let credential = viewer.credential {
      let known = house.book.credentials(of: viewer.holder)
      guard known.contains(where: { $0.digests.id == credential }) else { return false }
    }
    if viewer.call != nil { return true }
    return building.maySee(
      camera, account: account, engaged: house.engaged(account, building.unit(of: account)))
  }

  func whoShows(_ token: String, from peer: WebPeer) -> String? {
    guard let house else { return nil }
    return grant(of: token)?.holder
      ?? house.gate.device(tokenDigest: Digest.sha256(Array(token.utf8)), from: peer)?.account
  }
}
