internal import Calls
internal import Directory
internal import Doors
internal import Journal
internal import SIP
internal import Wire

/// Answers what doors ask about the building and its calls, and carries their keys to a station.
final class Porter: DoorAuthority, KeySender {
  private let book: AccountBook
  private let calls: Switchboard
  var passwords: [DeviceID: Secret] = [:]
  /// Runs something in a turn of the gateway.
  var withTurn: ((@escaping (inout Turn) -> Void) -> Void)?

  init(book: AccountBook, calls: Switchboard) {
    self.book = book
    self.calls = calls
  }

  var building: Building { book.building }

  func answeredCall(_ id: Doors.CallID) -> AnsweredCall? {
    guard let talk = calls.conversation(in: Porter.id(of: id)) else { return nil }
    return AnsweredCall(station: talk.station, account: talk.account, unit: talk.unit)
  }

  func isValid(credential: UInt64, of account: AccountName) -> Bool {
    book.credentials(of: account.rawValue).contains { $0.digests.id == credential }
  }

  func password(of door: DoorID) -> Secret? { passwords[.door(door)] }

  func send(
    _ keys: String, _ mode: Actuator.KeyMode, to stations: [StationName], in call: Doors.CallID?
  ) -> Bool {
    let live = calls.live.filter { $0.answered != nil }
    guard
      let record = live.first(where: { record in
        guard let station = record.station, stations.contains(station) else { return false }
        return call == nil || Porter.number(of: record.id) == call?.number
      }), let station = record.station
    else { return false }
    withTurn? { [calls] turn in
      _ = calls.sendKeys(keys, as: mode == .info ? .info : .rfc4733, to: station, in: record.id, &turn)
    }
    return true
  }

  /// A call's name is sixteen hexadecimal digits; doors know it as that number.
  static func number(of id: CallName) -> UInt64 { UInt64(id.text, radix: 16) ?? 0 }

  /// The way back.
  static func id(of call: Doors.CallID) -> CallName {
    let digits = String(call.number, radix: 16)
    return CallName(String(repeating: "0", count: 16 - digits.utf8.count) + digits)
  }
}
