import Glibc

/// Measures the gateway beside the programs it replaces: both do the same work in turns, in one run, and the
/// ratio is printed. Figures move from machine to machine; ratios much less.
@main
struct Benchmark {
  static func main() {
    var wanted = Array(CommandLine.arguments.dropFirst())
    // `turns=1` is for trying things out.
    let turns =
      wanted.firstIndex { $0.hasPrefix("turns=") }.flatMap { Int(wanted.remove(at: $0).dropFirst(6)) } ?? 3
    let all: [(String, () -> Void)] = [
      ("parse", { Parsing.measure() }),
      ("protect", { Protecting.measure(turns: turns) }),
      ("register", { Registering.measure(turns: turns) }),
      ("relay", { Relaying.measure(turns: turns) }),
      ("ring", { Ringing.measure() }),
      ("footprint", { Footprint.measure() }),
      ("websockets", { WebPhone.measure() }),
      ("transcode", { Transcoding.measure(turns: turns) }),
      ("srtp", { Sealing.measure(turns: turns) }),
      ("answer", { Answering.measure() }),
      ("viewers", { Viewing.measure(turns: turns) }),
      ("legs", { Talking.measure(turns: turns) }),
    ]
    for name in wanted where !all.contains(where: { $0.0 == name }) {
      print("unknown measurement \(name); there are \(all.map(\.0).joined(separator: ", "))")
      exit(64)
    }
    for (name, measure) in all where wanted.isEmpty || wanted.contains(name) { measure() }
  }
}

/// One line of the table: medians, and the ratio of ours to theirs.
func report(_ what: String, ours: [Double], theirs: [Double], peer: String, aim: Double) {
  let mine = median(ours)
  let other = median(theirs)
  print(
    "\(what): ours \(rounded(mine)), \(peer) \(rounded(other)), ratio \(rounded(mine / other)) (aim \(aim))")
}

/// One line for a figure of our own.
func report(_ what: String, _ value: Double, unit: String, aim: String) {
  print("\(what): \(rounded(value)) \(unit) (aim \(aim))")
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

func percentile(_ values: [Double], _ share: Double) -> Double {
  values.sorted()[min(values.count - 1, Int(Double(values.count) * share))]
}

/// Two digits after the point, none from a thousand on.
func rounded(_ value: Double) -> String {
  guard value.isFinite else { return "-" }
  if abs(value) >= 1000 { return String(Int(value)) }
  let hundredths = Int((value * 100).rounded())
  let rest = abs(hundredths % 100)
  return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
}

/// Ends the program with a sentence: an optimised `precondition` says nothing.
func fail(_ sentence: String) -> Never {
  print("benchmark: \(sentence)")
  // The programs that were started would stay.
  for child in contents(of: "/proc/\(getpid())/task/\(getpid())/children").split(separator: " ") {
    if let child = pid_t(child) { kill(child, SIGTERM) }
  }
  exit(1)
}
