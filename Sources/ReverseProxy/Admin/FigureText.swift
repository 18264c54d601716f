/// Figures in the text format that Prometheus reads, version 0.0.4.
enum PrometheusText {
  static func text(_ figures: [Figure]) -> String {
    var text = ""
    for figure in figures where !figure.samples.isEmpty {
      text +=
        "# HELP \(figure.name) \(figure.help)\n# TYPE \(figure.name) \(figure.kind.rawValue)\n"
      for sample in figure.samples {
        text += figure.name
        if !sample.labels.isEmpty {
          let labels = sample.labels.map { "\($0.name)=\"\(escaped($0.value))\"" }
          text += "{" + labels.joined(separator: ",") + "}"
        }
        text += " \(sample.number)\n"
      }
    }
    return text
  }

  /// A label's value may have everything in it but these three as they are.
  private static func escaped(_ value: String) -> String {
    var escaped = String.UnicodeScalarView()
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\\": escaped.append(contentsOf: #"\\"#.unicodeScalars)
      case "\"": escaped.append(contentsOf: #"\""#.unicodeScalars)
      case "\n": escaped.append(contentsOf: #"\n"#.unicodeScalars)
      default: escaped.append(scalar)
      }
    }
    return String(escaped)
  }
}

/// Figures as one JSON object (RFC 8259): a number by its name, or, where there are several, a list
/// of objects that have the labels and a `value`.
enum FigureJSON {
  static func text(_ figures: [Figure]) -> String {
    let members = figures.map { "  \(quoted($0.name)): " + value(of: $0) }
    return "{\n" + members.joined(separator: ",\n") + "\n}\n"
  }

  private static func value(of figure: Figure) -> String {
    if figure.samples.count == 1, figure.samples[0].labels.isEmpty {
      return "\(figure.samples[0].number)"
    }
    let objects = figure.samples.map { sample in
      let labels = sample.labels.map { "\(quoted("\($0.name)")): \(quoted($0.value)), " }
      return "\n    {" + labels.joined() + "\"value\": \(sample.number)}"
    }
    return "[" + objects.joined(separator: ",") + (objects.isEmpty ? "]" : "\n  ]")
  }

  /// RFC 8259, section 7.
  private static func quoted(_ text: String) -> String {
    var quoted = String.UnicodeScalarView("\"".unicodeScalars)
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": quoted.append(contentsOf: #"\\"#.unicodeScalars)
      case "\"": quoted.append(contentsOf: #"\""#.unicodeScalars)
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        quoted.append(contentsOf: (digits.utf8.count < 2 ? #"\u000"# : #"\u00"#).unicodeScalars)
        quoted.append(contentsOf: digits.unicodeScalars)
      default: quoted.append(scalar)
      }
    }
    quoted.append("\"")
    return String(quoted)
  }
}
