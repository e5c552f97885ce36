package import Directory
package import Wire

/// Names a call to people and scripts: 16 hexadecimal digits.
package struct CallID: Hashable, Sendable, CustomStringConvertible {
  package let text: String
  package init(_ text: String) { self.text = text }
  package var description: String { text }
}

/// Why a call is over, as records say it.
package enum CallEnd: String, Sendable, Hashable {
  case answered, noanswer, busy, declined, cancelled, unreachable, refused, failed
}

/// What became of one device that was rung, or of the caller.
package enum LegEnd: String, Sendable, Hashable {
  /// Not over yet.
  case calling, ringing, talking
  /// Talked, and hung up or was hung up.
  case answered
  case noanswer, busy, declined, unreachable
  /// Another device took the call, or the caller gave up.
  case cancelled
  /// Shares no encoding with the caller.
  case mismatch
}

/// One leg of a call, for records and lists.
package struct LegRecord: Sendable, Hashable {
  package var account: String
  package var state: LegEnd
  /// The last SIP status that this leg gave or got; 0 when there was none.
  package var code: Int
  /// The encoding of its sound; nil when none was settled.
  package var codec: String?
  package var counts: StreamCounts
}

/// One call, running or over.
package struct CallRecord: Sendable, Hashable {
  package var id: CallID
  /// The caller's username.
  package var from: String
  /// Who is at the other end for those that ring, or rang last: the caller, or after a transfer who stayed.
  package var visitor: String
  /// What was dialled.
  package var target: String
  package var unit: UnitID?
  package var station: StationName?
  package var started: WallTime
  package var answered: WallTime?
  /// Who answered first.
  package var answeredBy: String?
  /// Nil while it runs, with `end`.
  package var ended: WallTime?
  package var end: CallEnd?
  /// The caller first, then in the order they were rung.
  package var legs: [LegRecord]
  /// Sound came from one side only.
  package var isOneWay: Bool
  /// No sound came from either side.
  package var isSilent: Bool
  /// The caller's Call-ID.
  package var callID: String
}

/// What calls tell; taken by `next()`.
package enum CallEvent: Sendable, Equatable {
  /// A device rings, the first of the call.
  case ringing(CallRecord)
  case answered(CallRecord)
  /// A page of this account rings too, after others were told that the call rings.
  case joined(CallRecord, account: String)
  /// None of this account's devices rings or talks in that call any more.
  case left(CallID, account: String)
  /// The call is over: its record, to keep.
  case ended(CallRecord)
  /// A resident pressed a key inside an answered call with a station.
  case key(KeyPress)
  /// `*78` or `*79` was dialled.
  case doNotDisturb(AccountName, on: Bool)
}

/// A key, by whom, in which call.
package struct KeyPress: Sendable, Equatable {
  package var call: CallID
  package var account: AccountName
  package var unit: UnitID?
  package var station: StationName
  package var digit: Character
}

/// A station and somebody who talks with it.
package struct Conversation: Sendable, Equatable {
  package var station: StationName
  package var account: AccountName
  /// The unit that was called, or whose account called the station; after a transfer the unit it went to.
  package var unit: UnitID?
}
