package import Journal

extension Sequence where Element == Counters.Family {
  /// Prometheus' text exposition format, version 0.0.4.
  var prometheusText: String {
    var text = ""
    for family in self {
      text += "# HELP \(family.name) \(escaped(family.help, quote: false))\n"
      text += "# TYPE \(family.name) \(family.kind == .counter ? "counter" : "gauge")\n"
      for sample in family.samples {
        let labels = sample.labels.map { "\($0.name)=\"\(escaped($0.value, quote: true))\"" }
        text += family.name + (labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}")
        text += " \(sample.value)\n"
      }
    }
    return text
  }
}

private func escaped(_ text: String, quote: Bool) -> String {
  var out = ""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\\": out += "\\\\"
    case "\n": out += "\\n"
    case "\"" where quote: out += "\\\""
    default: out.unicodeScalars.append(scalar)
    }
  }
  return out
}

/// The same for whoever writes figures elsewhere.
package func exposition(of families: [Counters.Family]) -> String { families.prometheusText }
