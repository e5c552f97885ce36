internal import CSQLite
package import Wire

/// A disk that lives in memory, as a file system of SQLite's (VFS): what was written is seen at once, what was
/// flushed survives a power loss, and of the rest a power loss keeps what chance leaves.
///
/// It can be full, it can fail, and its power can go after a number of writes. One thread uses it at a time. Its
/// name is process-wide: two disks need two names.
@safe  // Owns `vfs`, which SQLite knows until `deinit`; everything opened on it must be closed by then.
package final class SimulatedDisk {
  /// What a power loss left: the contents of each file by its name.
  package typealias Image = [String: [UInt8]]

  package let name: String
  /// Bytes that all files together may take; nil for no limit.
  package var capacity: Int?
  /// Every write and flush fails while this is set.
  package var isFailing = false
  /// After so many more writes and flushes the power is gone and all fail, changing nothing; nil: never.
  package var writesUntilPowerLoss: Int?
  /// How often something was flushed.
  package private(set) var flushes = 0
  /// Called after each flush.
  package var flushed: (() -> Void)?

  fileprivate final class File {
    var contents: [UInt8] = []
    var flushed: [UInt8] = []
    var wasFlushed = false
    var pending: [Write] = []
    var locks: [ObjectIdentifier: Int32] = [:]
  }
  fileprivate enum Write {
    case bytes([UInt8], at: Int)
    case length(Int)
  }
  fileprivate final class Opened {
    let disk: SimulatedDisk
    let file: File
    let name: String?
    let deletesOnClose: Bool
    init(disk: SimulatedDisk, file: File, name: String?, deletesOnClose: Bool) {
      self.disk = disk
      self.file = file
      self.name = name
      self.deletesOnClose = deletesOnClose
    }
  }

  private var files: [String: File] = [:]
  private var dice: Random
  private let vfs: UnsafeMutablePointer<sqlite3_vfs>
  private let cName: UnsafeMutablePointer<CChar>

  package init(name: String, seed: UInt64 = 1, image: Image = [:]) {
    self.name = name
    dice = Random(seed: seed)
    let bytes = Array(name.utf8CString)
    unsafe cName = .allocate(capacity: bytes.count)
    unsafe cName.initialize(from: bytes, count: bytes.count)
    unsafe vfs = .allocate(capacity: 1)
    unsafe vfs.initialize(to: sqlite3_vfs())
    unsafe vfs.pointee.iVersion = 1
    unsafe vfs.pointee.szOsFile = Int32(MemoryLayout<OpenedFile>.stride)
    unsafe vfs.pointee.mxPathname = 512
    unsafe vfs.pointee.zName = UnsafePointer(cName)
    unsafe vfs.pointee.pAppData = Unmanaged.passUnretained(self).toOpaque()
    unsafe vfs.pointee.xOpen = openFile
    unsafe vfs.pointee.xDelete = { vfs, name, _ in
      unsafe disk(vfs).delete(String(cString: name!))
    }
    unsafe vfs.pointee.xAccess = { vfs, name, _, found in
      unsafe found!.pointee = unsafe disk(vfs).exists(String(cString: name!)) ? 1 : 0
      return SQLITE_OK
    }
    unsafe vfs.pointee.xFullPathname = { _, name, count, out in
      let bytes = unsafe Array(String(cString: name!).utf8CString)
      guard bytes.count <= Int(count) else { return SQLITE_CANTOPEN }
      unsafe out!.update(from: bytes, count: bytes.count)
      return SQLITE_OK
    }
    unsafe vfs.pointee.xRandomness = { vfs, count, out in
      let bytes = unsafe disk(vfs).chance(Int(count)).map { CChar(bitPattern: $0) }
      unsafe out!.update(from: bytes, count: bytes.count)
      return count
    }
    unsafe vfs.pointee.xSleep = { _, microseconds in microseconds }
    unsafe vfs.pointee.xCurrentTime = { _, julianDay in
      unsafe julianDay!.pointee = 2_461_000
      return SQLITE_OK
    }
    unsafe vfs.pointee.xGetLastError = { _, _, _ in 0 }
    for (name, contents) in image {
      let file = File()
      file.contents = contents
      file.flushed = contents
      file.wasFlushed = true
      files[name] = file
    }
    let status = unsafe sqlite3_vfs_register(vfs, 0)
    precondition(status == SQLITE_OK, "SQLite takes a file system")
  }

  deinit {
    unsafe sqlite3_vfs_unregister(vfs)
    unsafe vfs.deallocate()
    unsafe cName.deallocate()
  }

  // MARK: Losing power

  /// What was flushed, and nothing else.
  package var flushedImage: Image {
    var image: Image = [:]
    // Into another table: the order is lost anyway.
    for (name, file) in files where file.wasFlushed { image[name] = file.flushed }
    return image
  }

  /// Bytes that all files take together.
  package var used: Int { files.values.reduce(0) { $0 + $1.contents.count } }

  /// Everything written, flushed or not: what the death of the process alone leaves.
  package var writtenImage: Image {
    var image: Image = [:]
    // Into another table: the order is lost anyway.
    for (name, file) in files { image[name] = file.contents }
    return image
  }

  /// What a power loss now may leave: of what was not flushed, each file keeps some first writes, the next one
  /// perhaps in part.
  package func survivors(_ random: inout Random) -> Image {
    var image: Image = [:]
    for name in files.keys.sorted() {
      let file = files[name]!
      let kept = Int(random.below(UInt64(file.pending.count + 1)))
      if kept == 0, !file.wasFlushed, random.below(2) == 0 { continue }
      var contents = file.flushed
      for write in file.pending.prefix(kept) { SimulatedDisk.apply(write, to: &contents) }
      if kept < file.pending.count, case .bytes(let bytes, let at) = file.pending[kept] {
        let part = Int(random.below(UInt64(bytes.count + 1)))
        SimulatedDisk.apply(.bytes(Array(bytes[..<part]), at: at), to: &contents)
      }
      image[name] = contents
    }
    return image
  }

  private static func apply(_ write: Write, to contents: inout [UInt8]) {
    switch write {
    case .bytes(let bytes, let at):
      if bytes.isEmpty { return }
      if contents.count < at + bytes.count {
        contents += Array(repeating: 0, count: at + bytes.count - contents.count)
      }
      unsafe contents.withUnsafeMutableBytes { unsafe $0[at..<at + bytes.count].copyBytes(from: bytes) }
    case .length(let length):
      if length < contents.count {
        contents.removeLast(contents.count - length)
      } else {
        contents += Array(repeating: 0, count: length - contents.count)
      }
    }
  }

  // MARK: What SQLite asks

  fileprivate func open(_ name: String?, creating: Bool, deletesOnClose: Bool) -> Opened? {
    guard let name else { return Opened(disk: self, file: File(), name: nil, deletesOnClose: true) }
    if let file = files[name] {
      return Opened(disk: self, file: file, name: name, deletesOnClose: deletesOnClose)
    }
    guard creating, !isFailing, writesUntilPowerLoss != 0 else { return nil }
    let file = File()
    files[name] = file
    return Opened(disk: self, file: file, name: name, deletesOnClose: deletesOnClose)
  }

  fileprivate func delete(_ name: String) -> Int32 {
    guard mayWrite() else { return Fault.delete }
    return files.removeValue(forKey: name) == nil ? Fault.noSuchFile : SQLITE_OK
  }

  fileprivate func exists(_ name: String) -> Bool { files[name] != nil }

  fileprivate func chance(_ count: Int) -> [UInt8] { dice.bytes(count) }

  fileprivate func write(_ write: Write, to file: File) -> Int32 {
    guard mayWrite() else { return Fault.write }
    if let capacity, case .bytes(let bytes, let at) = write {
      let used = files.values.reduce(0) { $0 + $1.contents.count }
      if used + max(0, at + bytes.count - file.contents.count) > capacity { return SQLITE_FULL }
    }
    SimulatedDisk.apply(write, to: &file.contents)
    file.pending.append(write)
    return SQLITE_OK
  }

  fileprivate func flush(_ file: File) -> Int32 {
    guard mayWrite() else { return Fault.flush }
    file.flushed = file.contents
    file.wasFlushed = true
    file.pending = []
    flushes += 1
    flushed?()
    return SQLITE_OK
  }

  private func mayWrite() -> Bool {
    if isFailing { return false }
    guard let left = writesUntilPowerLoss else { return true }
    if left == 0 { return false }
    writesUntilPowerLoss = left - 1
    return true
  }

  /// 1 shared, 2 reserved, 3 pending, 4 exclusive.
  fileprivate func lock(_ opened: Opened, _ level: Int32) -> Int32 {
    let mine = ObjectIdentifier(opened)
    let others = opened.file.locks.filter { $0.key != mine }.values
    if others.contains(where: { level == 1 ? $0 >= 3 : level == 4 ? $0 >= 1 : $0 >= 2 }) {
      return SQLITE_BUSY
    }
    opened.file.locks[mine] = max(level, opened.file.locks[mine] ?? 0)
    return SQLITE_OK
  }

  fileprivate func unlock(_ opened: Opened, _ level: Int32) {
    opened.file.locks[ObjectIdentifier(opened)] = level == 0 ? nil : level
  }

  fileprivate func close(_ opened: Opened) {
    unlock(opened, 0)
    if opened.deletesOnClose, let name = opened.name { files[name] = nil }
  }
}

// MARK: The C side

/// SQLite's extended codes of input and output errors, which are macros.
private enum Fault {
  static let shortRead = SQLITE_IOERR | 2 << 8
  static let write = SQLITE_IOERR | 3 << 8
  static let flush = SQLITE_IOERR | 4 << 8
  static let delete = SQLITE_IOERR | 10 << 8
  static let noSuchFile = SQLITE_IOERR | 23 << 8
}

/// What SQLite allocates for an open file: its methods first, then ours.
@safe  // Read and written only through the methods below, between open and close.
private struct OpenedFile {
  var base = unsafe sqlite3_file()
  var opened: UnsafeMutableRawPointer?
}

private func disk(_ vfs: UnsafeMutablePointer<sqlite3_vfs>?) -> SimulatedDisk {
  unsafe Unmanaged<SimulatedDisk>.fromOpaque(vfs!.pointee.pAppData).takeUnretainedValue()
}

private func opened(_ file: UnsafeMutablePointer<sqlite3_file>?) -> SimulatedDisk.Opened {
  let ours = unsafe UnsafeMutableRawPointer(file!).assumingMemoryBound(to: OpenedFile.self)
  return unsafe Unmanaged<SimulatedDisk.Opened>.fromOpaque(ours.pointee.opened!).takeUnretainedValue()
}

private func openFile(
  _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?,
  _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32, _ outFlags: UnsafeMutablePointer<Int32>?
) -> Int32 {
  let ours = unsafe UnsafeMutableRawPointer(file!).bindMemory(to: OpenedFile.self, capacity: 1)
  unsafe ours.initialize(to: OpenedFile())
  let text = unsafe name.map { unsafe String(cString: $0) }
  let found = unsafe disk(vfs).open(
    text, creating: flags & SQLITE_OPEN_CREATE != 0, deletesOnClose: flags & SQLITE_OPEN_DELETEONCLOSE != 0)
  guard let found else { return SQLITE_CANTOPEN }
  unsafe ours.pointee.opened = Unmanaged.passRetained(found).toOpaque()
  unsafe ours.pointee.base.pMethods = UnsafePointer(fileMethods)
  if unsafe outFlags != nil { unsafe outFlags!.pointee = flags }
  return SQLITE_OK
}

/// Made once and never freed. Written by the lazy initialiser, only read afterwards.
nonisolated(unsafe) private let fileMethods: UnsafeMutablePointer<sqlite3_io_methods> = {
  let methods = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
  unsafe methods.initialize(to: sqlite3_io_methods())
  unsafe methods.pointee.iVersion = 1
  unsafe methods.pointee.xClose = { file in
    let ours = unsafe UnsafeMutableRawPointer(file!).assumingMemoryBound(to: OpenedFile.self)
    let kept = unsafe Unmanaged<SimulatedDisk.Opened>.fromOpaque(ours.pointee.opened!).takeRetainedValue()
    kept.disk.close(kept)
    return SQLITE_OK
  }
  unsafe methods.pointee.xRead = { file, out, count, at in
    let contents = unsafe opened(file).file.contents
    let out = unsafe UnsafeMutableRawBufferPointer(start: out!, count: Int(count))
    let start = min(Int(at), contents.count)
    let end = min(Int(at) + Int(count), contents.count)
    unsafe out.copyBytes(from: contents[start..<end])
    for index in end - start..<Int(count) { unsafe out[index] = 0 }
    return end - start == Int(count) ? SQLITE_OK : Fault.shortRead
  }
  unsafe methods.pointee.xWrite = { file, bytes, count, at in
    let opened = unsafe opened(file)
    let bytes = unsafe Array(UnsafeRawBufferPointer(start: bytes!, count: Int(count)))
    return opened.disk.write(.bytes(bytes, at: Int(at)), to: opened.file)
  }
  unsafe methods.pointee.xTruncate = { file, length in
    let opened = unsafe opened(file)
    return opened.disk.write(.length(Int(length)), to: opened.file)
  }
  unsafe methods.pointee.xSync = { file, _ in
    let opened = unsafe opened(file)
    return opened.disk.flush(opened.file)
  }
  unsafe methods.pointee.xFileSize = { file, out in
    unsafe out!.pointee = Int64(opened(file).file.contents.count)
    return SQLITE_OK
  }
  unsafe methods.pointee.xLock = { file, level in
    let opened = unsafe opened(file)
    return opened.disk.lock(opened, level)
  }
  unsafe methods.pointee.xUnlock = { file, level in
    let opened = unsafe opened(file)
    opened.disk.unlock(opened, level)
    return SQLITE_OK
  }
  unsafe methods.pointee.xCheckReservedLock = { file, out in
    unsafe out!.pointee = unsafe opened(file).file.locks.values.contains { $0 >= 2 } ? 1 : 0
    return SQLITE_OK
  }
  unsafe methods.pointee.xFileControl = { _, _, _ in SQLITE_NOTFOUND }
  unsafe methods.pointee.xSectorSize = { _ in 4096 }
  // As the real file systems say: a write that is cut short leaves the bytes beside it alone.
  unsafe methods.pointee.xDeviceCharacteristics = { _ in SQLITE_IOCAP_POWERSAFE_OVERWRITE }
  return unsafe methods
}()
