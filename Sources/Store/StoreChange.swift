package import Directory
package import Wire

/// One thing to write. Changes are values, so that a turn can gather several and commit them together.
package enum StoreChange: Sendable {
  /// A new directory, its passwords taken out (`Building.withoutPasswords`) and sealed. What belongs to accounts,
  /// stations, units and devices that it no longer has goes with it.
  case directory(Building, passwords: [DevicePasswordRow], at: WallTime, by: String)
  case addCredential(CredentialRow)
  case removeCredential(UInt64)
  case credentialUsed(UInt64, at: WallTime)
  case addEnrolment(EnrolmentRow)
  case removeEnrolment(String)
  /// Adds a binding or renews it. One of an account that is gone is passed over.
  case bind(BindingRow)
  case unbind(username: String, key: String)
  case ban(BanRow)
  case liftBan(IPAddress, account: String?)
  case quietAccount(AccountName, Bool)
  case quietUnit(UnitID, Bool)
  case call(CallRow)
  /// A row that somebody chained. When a commit fails, rows chained after it no longer fit and are refused too.
  case audit(AuditRow)
  /// Chains `entry` to whatever the log ends with when it is written, so a failed commit leaves no gap.
  case record(AuditEntry, hash: @Sendable ([UInt8]) -> [UInt8])
  case event(EventRow)
  /// Forgets events up to this one: everybody has them.
  case forgetEvents(through: Int64)
  /// Forgets calls that ended before.
  case forgetCalls(endedBefore: WallTime)
  /// Nil removes it.
  case setting(String, String?)

  /// Whether its acknowledgement may wait for nothing but the process: a power loss may take it, and the device
  /// brings it again.
  var isWrittenBehind: Bool {
    switch self {
    case .bind, .unbind, .credentialUsed: true
    case .directory, .addCredential, .removeCredential, .addEnrolment, .removeEnrolment, .ban, .liftBan,
      .quietAccount, .quietUnit, .call,
      .audit, .record, .event, .forgetEvents, .forgetCalls, .setting:
      false
    }
  }
}

/// Everything the gateway keeps in memory, as it was stored.
package struct StoredState: Sendable {
  package var directory: Building?
  /// 0 before the first `apply`.
  package var directoryVersion: Int64 = 0
  package var credentials: [CredentialRow] = []
  /// The id for the next credential.
  package var nextCredential: UInt64 = 1
  package var enrolments: [EnrolmentRow] = []
  package var passwords: [DevicePasswordRow] = []
  package var bindings: [BindingRow] = []
  package var bans: [BanRow] = []
  package var quietAccounts: [AccountName] = []
  package var quietUnits: [UnitID] = []
  package var auditTail = AuditTail()
  /// The id for the next event.
  package var nextEvent: Int64 = 1
  package var settings: [String: String] = [:]

  package init() {}
}
