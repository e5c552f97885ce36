import Glibc
import SimulatedBuilding

/// Runs days of the simulated building: `Simulate FIRST COUNT [--minutes N] [--trace] [--lines] [--story] [--deeds]`.
///
/// One process works through its seeds one after another; several processes share a machine. Faults last five virtual
/// minutes, or as many as are named. `--trace` prints each seed's trace, which two processes must agree on; `--lines`
/// every event of it; `--story` how often what happened; `--deeds` fails where something that the rules are about never
/// happened.
@main
struct Simulate {
  static func main() {
    var words = Array(CommandLine.arguments.dropFirst())
    var minutes: Int64 = 5
    var again = ""
    if let place = words.firstIndex(of: "--minutes"), place + 1 < words.count,
      let wanted = Int64(words[place + 1]), wanted > 0
    {
      minutes = wanted
      again = " --minutes \(minutes)"
      words.removeSubrange(place...place + 1)
    }
    let numbers = words.filter { !$0.hasPrefix("--") }.compactMap { UInt64($0) }
    let options = words.filter { $0.hasPrefix("--") }
    guard numbers.count == 2, numbers.count + options.count == words.count,
      options.allSatisfy({ ["--trace", "--lines", "--story", "--deeds"].contains($0) })
    else {
      print("usage: Simulate FIRST COUNT [--minutes N] [--trace] [--lines] [--story] [--deeds]")
      exit(64)
    }
    var failed = 0
    var story: [String: Int] = [:]
    for seed in numbers[0]..<numbers[0] + numbers[1] {
      let outcome = BuildingDay.run(seed: seed, minutes: minutes, keepsLines: options.contains("--lines"))
      for line in outcome.lines { print(line) }
      for (name, count) in outcome.story { story[name, default: 0] += count }
      if options.contains("--trace") {
        print("\(seed) \(String(outcome.trace, radix: 16)) \(outcome.turns)")
      }
      guard !outcome.breaches.isEmpty else { continue }
      failed += 1
      for breach in outcome.breaches.prefix(5) { print("seed \(seed): \(breach)") }
      print("again: Simulate \(seed) 1\(again) --lines")
    }
    if options.contains("--story") {
      for name in story.keys.sorted() { print("\(name): \(story[name]!)") }
    }
    if options.contains("--deeds") {
      let missing = Deeds.missing(from: story)
      for deed in missing { print("nobody ever did this: \(deed)") }
      failed += missing.count
    }
    print("\(numbers[1]) seeds, \(failed) failed")
    exit(failed == 0 ? 0 : 1)
  }
}
