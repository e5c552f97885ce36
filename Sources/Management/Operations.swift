package import API
package import JSON
package import Journal

/// Who gives a command, as the audit log names them: `local:root`.
package struct Principal: Hashable, Sendable {
  package var name: String
  package init(_ name: String) { self.name = name }
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
  /// The latest `limit` records that started before `before` (RFC 3339), the latest first.
  func callRecords(limit: Int, before: String?, then: @escaping Completion<[CallView]>)

  func bans() -> [BanView]
  func liftBan(address: String, by: Principal, then: @escaping Completion<Void>)

  func openDoor(_ id: String, by: Principal, then: @escaping Completion<OpenReply>)
  func ring(_ request: RingRequest, by: Principal) -> Outcome<RingTicket>
  func ringReport(_ id: String) -> Outcome<RingView>
}
