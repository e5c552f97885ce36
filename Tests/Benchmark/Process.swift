import Glibc

/// A program started for a measurement: its output is kept in a file, it is killed when it is let go.
@safe  // Pointers handed to posix_spawn live until it returns.
struct Peer: ~Copyable {
  let pid: pid_t
  let output: String

  /// Starts `words` with standard output and error in `output`.
  init(_ words: [String], output: String) {
    self.output = output
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    unsafe posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    unsafe posix_spawn_file_actions_adddup2(&actions, 1, 2)
    let arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    var child: pid_t = 0
    let failure = unsafe posix_spawnp(&child, words[0], &actions, nil, arguments, environ)
    precondition(failure == 0, "cannot start \(words[0]): error \(failure)")
    unsafe arguments.forEach { unsafe free($0) }
    unsafe posix_spawn_file_actions_destroy(&actions)
    pid = child
  }

  deinit {
    kill(pid, SIGTERM)
    var waited = 0
    while waitpid(pid, nil, WNOHANG) == 0 {
      usleep(20_000)
      waited += 1
      if waited == 250 { kill(pid, SIGKILL) }
    }
  }

  /// Waits until the output has a line that begins with `start`, and gives it back.
  func line(beginning start: String, within seconds: Double) -> String? {
    let end = monotonicSeconds() + seconds
    while monotonicSeconds() < end {
      for line in contents(of: output).split(separator: "\n") where line.hasPrefix(start) {
        return String(line)
      }
      usleep(1_000)
    }
    return nil
  }

  /// CPU seconds that this process and its children have used (user and system).
  var processorSeconds: Double { family(of: pid).map(ownProcessorSeconds).reduce(0, +) }

  /// Proportional set size in kilobytes, children included.
  var proportionalSetSize: Int {
    family(of: pid).map { member in
      for line in contents(of: "/proc/\(member)/smaps_rollup").split(separator: "\n")
      where line.hasPrefix("Pss:") {
        return Int(line.split(separator: " ")[1]) ?? 0
      }
      return 0
    }.reduce(0, +)
  }
}

/// A process and all its descendants.
private func family(of root: pid_t) -> [pid_t] {
  var members = [root]
  for line in contents(of: "/proc/\(root)/task/\(root)/children").split(separator: " ") {
    if let child = pid_t(line) { members += family(of: child) }
  }
  return members
}

func ownProcessorSeconds(_ pid: pid_t) -> Double {
  // The scheduler's own account in nanoseconds, thread by thread: the tick-based figures are too coarse.
  var nanoseconds = 0
  for task in entries(of: "/proc/\(pid)/task") {
    nanoseconds +=
      Int(contents(of: "/proc/\(pid)/task/\(task)/schedstat").split(separator: " ").first ?? "0") ?? 0
  }
  return Double(nanoseconds) / 1e9
}

func entries(of folder: String) -> [String] {
  guard let directory = unsafe opendir(folder) else { return [] }
  defer { unsafe closedir(directory) }
  var names: [String] = []
  while let entry = unsafe readdir(directory) {
    let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
      unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
    }
    if name != ".", name != ".." { names.append(name) }
  }
  return names.sorted()
}

/// The whole of a small file; empty when it cannot be read.
func contents(of path: String) -> String {
  guard let file = unsafe fopen(path, "r") else { return "" }
  defer { unsafe fclose(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65_536)
  while true {
    let count = unsafe fread(&buffer, 1, buffer.count, file)
    if count == 0 { break }
    bytes += buffer[..<count]
  }
  return String(decoding: bytes, as: UTF8.self)
}

func write(_ text: String, to path: String) {
  guard let file = unsafe fopen(path, "w") else { preconditionFailure("cannot write \(path)") }
  unsafe fputs(text, file)
  unsafe fclose(file)
}

/// Runs a shell command and gives back what it printed.
func run(_ command: String) -> String {
  guard let pipe = unsafe popen(command, "r") else { preconditionFailure("cannot run \(command)") }
  defer { unsafe pclose(pipe) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65_536)
  while true {
    let count = unsafe fread(&buffer, 1, buffer.count, pipe)
    if count == 0 { break }
    bytes += buffer[..<count]
  }
  return String(decoding: bytes, as: UTF8.self)
}

/// The same, for types with a `run` of their own.
func shell(_ command: String) -> String { run(command) }

func wallSeconds() -> Double {
  var time = timespec()
  unsafe clock_gettime(CLOCK_REALTIME, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

func monotonicSeconds() -> Double {
  var time = timespec()
  unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
