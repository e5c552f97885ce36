package import JSON
package import Wire

// What keeps a gateway in order: maintenance mode, and what came of a restored backup.

/// Maintenance mode, wanted or in force. Doors ring and open as ever; nobody on the building's own network is banned for
/// wrong passwords, so that an installer can try. It ends by itself.
package struct Maintenance: APIValue {
  package var on: Bool
  /// When it ends by itself; nil when it is off.
  package var until: WallTime?

  package init(on: Bool, until: WallTime? = nil) {
    self.on = on
    self.until = until
  }
  package init(_ reader: inout ObjectReader) {
    on = reader.requiredMember("on", "true or false")?.bool() ?? false
    until = reader.time("until")
  }
  package var json: JSONValue { ["on": .bool(on), "until": .time(until)] }
  package static var example: Maintenance {
    Maintenance(on: true, until: WallTime(seconds: 1_795_224_519))
  }
}

/// What a backup held that is put back; the gateway starts anew with it.
package struct RestoreReply: APIValue {
  package var units: Int
  package var accounts: Int
  package var credentials: Int
  /// Of the credentials: wrapped with another device's key. Their devices must be enrolled anew.
  package var unreadable: Int

  package init(units: Int, accounts: Int, credentials: Int, unreadable: Int) {
    self.units = units
    self.accounts = accounts
    self.credentials = credentials
    self.unreadable = unreadable
  }
  package init(_ reader: inout ObjectReader) {
    units = reader.integer("units", default: 0)
    accounts = reader.integer("accounts", default: 0)
    credentials = reader.integer("credentials", default: 0)
    unreadable = reader.integer("unreadable", default: 0)
  }
  package var json: JSONValue {
    [
      "units": .integer(units), "accounts": .integer(accounts), "credentials": .integer(credentials),
      "unreadable": .integer(unreadable),
    ]
  }
  package static var example: RestoreReply {
    RestoreReply(units: 12, accounts: 30, credentials: 28, unreadable: 0)
  }
}
