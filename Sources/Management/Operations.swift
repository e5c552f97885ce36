package import API
package import Directory
package import JSON
package import Journal
package import Web
package import Wire

/// The device that asks, and what it may ask about: its own account and its own unit.
package struct DeviceScope: Hashable, Sendable {
  package var account: AccountName
  /// Nil for people without one.
  package var unit: UnitID?
  /// What its token belongs to and ends with.
  package var credential: UInt64

  package init(account: AccountName, unit: UnitID?, credential: UInt64) {
    self.account = account
    self.unit = unit
    self.credential = credential
  }
}

/// Who gives a command, as the audit log names them: `local:root`, `account:web401`.
package struct Principal: Hashable, Sendable {
  package var name: String
  /// Set for devices; nil means an operator, who may everything.
  package var device: DeviceScope?

  package init(_ name: String, device: DeviceScope? = nil) {
    self.name = name
    self.device = device
  }
}

package typealias Outcome<Value> = Result<Value, Problem>
/// Called once, now or in a later turn.
package typealias Completion<Value> = (Outcome<Value>) -> Void

/// Everything that `/api/v1` can ask of a gateway, one method for each operation. Those that touch the store, a
/// file or a device answer by completion; the rest is in memory.
package protocol Operations: AnyObject {
  func health() -> HealthView
  func metrics() -> [Counters.Family]

  func status() -> StatusView
  func doctor(then: @escaping Completion<[CheckView]>)

  /// The directory in the form that `applyDirectory` takes, device passwords as `"unchanged"`.
  func exportDirectory() -> JSONValue
  /// `text` is JSON5; `file` names it in errors. A faulty one is `Problem.faulty`.
  func applyDirectory(
    _ text: [UInt8], file: String, dryRun: Bool, by: Principal, then: @escaping Completion<ApplyReply>)
  func units() -> [UnitView]
  func accounts() -> [AccountView]
  func stations() -> [StationView]
  func cameras() -> [CameraView]
  func doors() -> [DoorView]

  /// The reply for `sip` is a `SIPCredential`'s JSON. A format that is not served is a 422.
  func enroll(
    _ username: String, _ request: EnrollRequest, by: Principal, then: @escaping Completion<JSONValue>)
  /// Ends the credential `id`, or all of them for nil.
  func revoke(
    _ username: String, credential id: String?, by: Principal, then: @escaping Completion<RevokeReply>)
  func setDoNotDisturb(
    account username: String, _ dnd: Bool, by: Principal, then: @escaping Completion<DoNotDisturb>)
  func setDoNotDisturb(
    unit number: String, _ dnd: Bool, by: Principal, then: @escaping Completion<DoNotDisturb>)

  func calls() -> [CallView]
  func hangUp(call id: String, by: Principal) -> Outcome<Void>
  /// The latest `limit` records that started before `before` (RFC 3339), the latest first; for a device, those of its
  /// unit and its account.
  func callRecords(
    limit: Int, before: String?, of device: DeviceScope?, then: @escaping Completion<[CallView]>)

  /// A still picture of a call, as JPEG; for a device, of calls that it may know.
  func snapshot(
    of call: String, _ moment: String, by device: DeviceScope?, then: @escaping Completion<[UInt8]>)

  func bans() -> [BanView]
  func liftBan(address: String, by: Principal, then: @escaping Completion<Void>)

  /// `key` names the wish, so that it is carried out once however often it comes; nil: it is a wish of its own.
  /// `issued`: when it was given, by our clock; nil: now. One that is too old when it comes opens nothing.
  func openDoor(
    _ id: String, by: Principal, key: String?, issued: WallTime?, then: @escaping Completion<OpenReply>)
  func ring(_ request: RingRequest, by: Principal) -> Outcome<RingTicket>
  func ringReport(_ id: String) -> Outcome<RingView>

  // MARK: Devices

  /// What a device may ask about; nil when its account is no more.
  func scope(of device: DeviceIdentity) -> DeviceScope?
  func session(of device: DeviceScope) -> SessionView
  /// Ends the device's own credential.
  func forget(_ device: DeviceScope, then: @escaping Completion<Void>)
  /// The doors it may open.
  func doors(of device: DeviceScope) -> [DoorView]
  /// The live calls of its unit and of its account.
  func calls(of device: DeviceScope) -> [CallView]
  func cameraToken(_ camera: String, by: Principal) -> Outcome<CameraToken>
  /// Everything that is kept, as one file. Secrets in it are wrapped with the device's key, which is not in it.
  func backup(by: Principal, then: @escaping Completion<[UInt8]>)
  /// Takes a backup and starts anew with it. 422 for what is none, 409 for another domain's.
  func restore(_ backup: [UInt8], by: Principal, then: @escaping Completion<RestoreReply>)
  func supportBundle(then: @escaping Completion<JSONValue>)
  func setMaintenance(_ on: Bool, by: Principal, then: @escaping Completion<Maintenance>)
  /// A page of that device listens: from now on it is a device that rings. `false`: it listens no more.
  func attends(_ device: DeviceScope, _ isPresent: Bool)
  var answers: any BrowserAnswers { get }
}

/// Calls answered by browsers that speak HTTP and no SIP, like WHEP (draft-ietf-wish-whep): an offer in, the answer
/// out, candidates later.
package protocol BrowserAnswers: AnyObject {
  /// Answers a call that rings for the device. 404 for one that never did, 409 when somebody else has answered, 410
  /// when it is over, 406 when no sound can be agreed on, 503 when there is no room.
  func answer(
    _ call: String, by device: DeviceScope, from address: IPAddress?, offer: [UInt8],
    then: @escaping Completion<BrowserAnswer>)
  /// Stops a call from ringing on the device.
  func decline(_ call: String, by device: DeviceScope, then: @escaping Completion<Void>)
  /// Takes candidates (`application/trickle-ice-sdpfrag`) of the generation of ICE that `tag` names; 412 for another.
  /// With `*` and new credentials ICE is restarted: a fragment and a new tag come back.
  func trickle(
    _ call: String, leg: String, by device: DeviceScope, fragment: [UInt8], tag: String?,
    then: @escaping Completion<BrowserAnswer?>)
  func hangUp(_ call: String, leg: String, by device: DeviceScope, then: @escaping Completion<Void>)
}

/// What a browser gets for its offer.
package struct BrowserAnswer: Hashable, Sendable {
  /// Names the leg: 128 random bits.
  package var leg: String
  /// The SDP answer, or the fragment of one.
  package var description: [UInt8]
  /// The entity tag of its ICE session, without quotes.
  package var tag: String

  package init(leg: String, description: [UInt8], tag: String) {
    self.leg = leg
    self.description = description
    self.tag = tag
  }
}
