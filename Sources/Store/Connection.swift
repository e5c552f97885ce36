internal import CSQLite

/// One SQLite connection with its prepared statements: the only place that names the C library.
///
/// Not safe to share: its owner sees to it that one thread uses it at a time (SQLite runs without its own locks).
/// Statements are prepared once for each text and kept; a row is read before the next is asked for.
@safe  // Owns `handle` and `statements`; both live until `deinit`.
final class Connection {
  private var handle: OpaquePointer?
  private var statements: [String: Statement] = [:]

  /// A value of a column or of a place in a statement.
  enum Value {
    case null
    case integer(Int64)
    case text(String)
    case blob([UInt8])

    static func text(orNull text: String?) -> Value { text.map(Value.text) ?? .null }
    static func integer(orNull value: Int64?) -> Value { value.map(Value.integer) ?? .null }
  }

  /// Opens or creates the file; `vfs` names another disk than the real one, for tests.
  init(path: String, vfs: String?) throws(StoreFailure) {
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE
    var opened: OpaquePointer?
    let status =
      if let vfs {
        unsafe vfs.withCString { unsafe sqlite3_open_v2(path, &opened, flags, $0) }
      } else {
        unsafe sqlite3_open_v2(path, &opened, flags, nil)
      }
    unsafe handle = opened
    guard status == SQLITE_OK, unsafe opened != nil else { throw failure(status) }
    unsafe sqlite3_extended_result_codes(opened, 1)
  }

  deinit {
    statements.removeAll()
    unsafe sqlite3_close_v2(handle)
  }

  /// How long to wait for another process to let go of the file.
  func setPatience(milliseconds: Int32) { unsafe sqlite3_busy_timeout(handle, milliseconds) }

  /// Runs several statements that take and give nothing.
  func run(script: String) throws(StoreFailure) {
    let status = unsafe sqlite3_exec(handle, script, nil, nil, nil)
    guard status == SQLITE_OK else { throw failure(status) }
  }

  /// Runs one statement to its end.
  func run(_ text: String, _ values: Value...) throws(StoreFailure) {
    try step(text, values) { (_: borrowing Row) throws(StoreFailure) in }
  }

  /// Runs one statement and turns each of its rows into a value.
  func rows<Result>(
    _ text: String, _ values: Value..., read: (borrowing Row) throws(StoreFailure) -> Result
  ) throws(StoreFailure) -> [Result] {
    var found: [Result] = []
    try step(text, values) { (row: borrowing Row) throws(StoreFailure) in found.append(try read(row)) }
    return found
  }

  /// The first row, or nil.
  func row<Result>(
    _ text: String, _ values: Value..., read: (borrowing Row) throws(StoreFailure) -> Result
  ) throws(StoreFailure) -> Result? {
    var found: Result?
    try step(text, values) { (row: borrowing Row) throws(StoreFailure) in
      if found == nil { found = try read(row) }
    }
    return found
  }

  /// How many rows the last statement changed.
  var changes: Int { Int(unsafe sqlite3_changes64(handle)) }

  /// Whether a transaction is open.
  var isInTransaction: Bool { unsafe sqlite3_get_autocommit(handle) == 0 }

  // MARK: Statements

  /// A prepared statement, finalised with its owner.
  @safe private final class Statement {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { unsafe self.pointer = pointer }

    deinit { unsafe sqlite3_finalize(pointer) }
  }

  private func step(
    _ text: String, _ values: [Value], _ each: (borrowing Row) throws(StoreFailure) -> Void
  ) throws(StoreFailure) {
    let statement = unsafe try prepared(text).pointer
    defer {
      unsafe sqlite3_reset(statement)
      unsafe sqlite3_clear_bindings(statement)
    }
    for (index, value) in values.enumerated() { unsafe try bind(value, Int32(index + 1), statement) }
    let row = unsafe Row(statement: statement)
    while true {
      let status = unsafe sqlite3_step(statement)
      if status == SQLITE_DONE { return }
      guard status == SQLITE_ROW else { throw failure(status) }
      try each(row)
    }
  }

  private func prepared(_ text: String) throws(StoreFailure) -> Statement {
    if let known = statements[text] { return known }
    var made: OpaquePointer?
    let status = unsafe sqlite3_prepare_v3(handle, text, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &made, nil)
    guard status == SQLITE_OK, let made = unsafe made else { throw failure(status) }
    let statement = unsafe Statement(made)
    statements[text] = statement
    return statement
  }

  private func bind(_ value: Value, _ index: Int32, _ statement: OpaquePointer) throws(StoreFailure) {
    // SQLITE_TRANSIENT, a macro: SQLite copies the bytes before the call returns.
    let copied = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)
    let status =
      switch value {
      case .null: unsafe sqlite3_bind_null(statement, index)
      case .integer(let value): unsafe sqlite3_bind_int64(statement, index, value)
      case .text(let text):
        unsafe sqlite3_bind_text(statement, index, text, Int32(text.utf8.count), copied)
      case .blob(let bytes):
        bytes.isEmpty
          ? unsafe sqlite3_bind_zeroblob(statement, index, 0)
          : unsafe sqlite3_bind_blob(statement, index, bytes, Int32(bytes.count), copied)
      }
    guard status == SQLITE_OK else { throw failure(status) }
  }

  /// The row a statement stands on. Valid until the statement moves.
  @safe  // Lent to one closure while its statement stands still.
  struct Row: ~Copyable {
    fileprivate let statement: OpaquePointer

    fileprivate init(statement: OpaquePointer) { unsafe self.statement = statement }

    func integer(_ column: Int32) -> Int64 { unsafe sqlite3_column_int64(statement, column) }
    func isNull(_ column: Int32) -> Bool { unsafe sqlite3_column_type(statement, column) == SQLITE_NULL }
    func optionalInteger(_ column: Int32) -> Int64? { isNull(column) ? nil : integer(column) }
    func text(_ column: Int32) -> String {
      guard let start = unsafe sqlite3_column_text(statement, column) else { return "" }
      let count = Int(unsafe sqlite3_column_bytes(statement, column))
      return unsafe String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }
    func optionalText(_ column: Int32) -> String? { isNull(column) ? nil : text(column) }
    func blob(_ column: Int32) -> [UInt8] {
      guard let start = unsafe sqlite3_column_blob(statement, column) else { return [] }
      let count = Int(unsafe sqlite3_column_bytes(statement, column))
      return unsafe Array(UnsafeRawBufferPointer(start: start, count: count))
    }
  }

  // MARK: Failures

  /// What the last call says went wrong. SQLite's sentences name tables and columns, never values.
  private func failure(_ status: Int32) -> StoreFailure {
    let sentence = unsafe handle == nil ? nil : unsafe sqlite3_errmsg(handle)
    let text = unsafe sentence.map { unsafe String(cString: $0) } ?? "no memory"
    switch status & 0xFF {
    case SQLITE_CORRUPT, SQLITE_NOTADB: return .damaged(text)
    case SQLITE_BUSY, SQLITE_LOCKED: return .taken
    case SQLITE_CANTOPEN, SQLITE_PERM, SQLITE_AUTH: return .cannotOpen(text)
    case SQLITE_FULL: return .full
    case SQLITE_READONLY: return .readOnly
    case SQLITE_IOERR: return .inputOutput("\(text), \(status)")
    case SQLITE_CONSTRAINT: return .refused(text)
    default: return .other(code: status, text)
    }
  }
}
