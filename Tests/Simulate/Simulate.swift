import Glibc
import SimulatedBuilding

/// Runs days of the simulated building: `Simulate FIRST COUNT [--trace] [--lines]`.
///
/// One process works through its seeds one after another; several processes share a machine. `--trace` prints each
/// seed's trace, which two processes must agree on; `--lines` every event of it.
@main
struct Simulate {
  static func main() {
    let words = CommandLine.arguments.dropFirst()
    let numbers = words.filter { !$0.hasPrefix("--") }.compactMap { UInt64($0) }
    let options = words.filter { $0.hasPrefix("--") }
    guard numbers.count == 2, numbers.count + options.count == words.count,
      options.allSatisfy({ ["--trace", "--lines", "--story"].contains($0) })
    else {
      print("usage: Simulate FIRST COUNT [--trace] [--lines] [--story]")
      exit(64)
    }
    var failed = 0
    var story: [String: Int] = [:]
    for seed in numbers[0]..<numbers[0] + numbers[1] {
      let outcome = BuildingDay.run(seed: seed, keepsLines: options.contains("--lines"))
      for line in outcome.lines { print(line) }
      for (name, count) in outcome.story { story[name, default: 0] += count }
      if options.contains("--trace") {
        print("\(seed) \(String(outcome.trace, radix: 16)) \(outcome.turns)")
      }
      guard !outcome.breaches.isEmpty else { continue }
      failed += 1
      for breach in outcome.breaches.prefix(5) { print("seed \(seed): \(breach)") }
      print("again: Simulate \(seed) 1 --lines")
    }
    if options.contains("--story") {
      for name in story.keys.sorted() { print("\(name): \(story[name]!)") }
    }
    print("\(numbers[1]) seeds, \(failed) failed")
    exit(failed == 0 ? 0 : 1)
  }
}
