/// One thing that is measured, as `/metrics` and `/stats` show it.
package struct Figure: Sendable {
  package enum Kind: String, Sendable {
    /// Goes up, and begins again at 0 with the process or with what is counted.
    case counter
    /// Goes up and down.
    case gauge
  }

  package enum Number: Sendable, Equatable {
    case count(Int)
    /// Given in nanoseconds, shown in seconds.
    case nanoseconds(UInt64)
  }

  /// One number, and which of several it is.
  package struct Sample: Sendable {
    package let labels: [(name: StaticString, value: String)]
    package let number: Number
  }

  /// In the form that Prometheus wants: with a prefix and a unit, and `_total` behind a counter.
  package let name: String
  package let kind: Kind
  /// One line.
  package let help: String
  /// Each with other values of the same labels.
  package let samples: [Sample]

  package init(_ kind: Kind, _ name: String, _ help: String, _ samples: [Sample]) {
    self.kind = kind
    self.name = "fdproxy_" + name + (kind == .counter ? "_total" : "")
    self.help = help
    self.samples = samples
  }

  package init(_ kind: Kind, _ name: String, _ help: String, _ number: Int) {
    self.init(kind, name, help, [Sample(labels: [], number: .count(number))])
  }
}

extension Figure.Number: CustomStringConvertible {
  /// Digits, with a point where they need one: a number in every notation.
  package var description: String {
    switch self {
    case .count(let count): return "\(count)"
    case .nanoseconds(let nanoseconds):
      let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
      guard rest > 0 else { return "\(seconds)" }
      var digits = "\(rest)"
      digits = String(repeating: "0", count: 9 - digits.utf8.count) + digits
      while digits.last == "0" { digits.removeLast() }
      return "\(seconds).\(digits)"
    }
  }
}
