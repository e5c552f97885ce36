/// Why the store could not do what it was asked. After any of them nothing of the request was kept.
package enum StoreFailure: Error, Hashable, Sendable {
  /// The file holds something else, or is damaged. It is left as it is.
  case damaged(String)
  /// The file was written by a later version.
  case later(migrations: Int)
  /// Another process has it open.
  case taken
  case cannotOpen(String)
  case full
  case readOnly
  /// The disk reported an error.
  case inputOutput(String)
  /// The request contradicts what is stored.
  case refused(String)
  /// Anything else SQLite says.
  case other(code: Int32, String)

  /// Whether the file cannot be used at all, rather than one request not be done.
  package var isFatal: Bool {
    switch self {
    case .damaged, .later, .taken, .cannotOpen: true
    case .full, .readOnly, .inputOutput, .refused, .other: false
    }
  }
}

extension StoreFailure: CustomStringConvertible {
  /// What is wrong and what to do, in one line.
  package var description: String {
    switch self {
    case .damaged(let what):
      "the database is damaged (\(what)); it was left as it is: put a backup in its place with \"vestibule restore\""
    case .later(let migrations):
      "the database was written by a later version (\(migrations) migrations); install that version or restore an "
        + "older backup"
    case .taken: "the database is open in another process; stop that one first"
    case .cannotOpen(let what):
      "the database cannot be opened (\(what)); check the state directory and its owner"
    case .full: "the disk is full; make room, nothing was written"
    case .readOnly:
      "the database cannot be written to; check the file system and the owner of the state directory"
    case .inputOutput(let what): "the disk reported an error (\(what)); check it and the file system"
    case .refused(let what): "the database refused it (\(what))"
    case .other(let code, let what): "the database failed (\(code): \(what))"
    }
  }
}
