/// What callgrind has counted, dump by dump, as it writes that down.
///
/// A dump is made when a function returns. It has what all functions have taken since the dump
/// before; of that only the function itself is of interest, with whatever it has called.
package struct CallgrindCounts: Equatable {
  package struct Call: Equatable {
    package let symbol: String
    package let instructions: Int

    package init(_ symbol: String, _ instructions: Int) {
      self.symbol = symbol
      self.instructions = instructions
    }
  }

  /// In the order in which they have returned.
  package let calls: [Call]

  /// - Parameter text: all dumps, one after the other, with names and positions in full (Valgrind's
  ///   manual, callgrind format).
  package init(parsing text: String) {
    var calls: [Call] = []
    var symbol: Substring?
    var isInside = false
    var instructions = 0
    for line in text.split(separator: "\n") {
      if line.hasPrefix("desc: Trigger: ") {
        symbol = line.hasPrefix(Self.trigger) ? line.dropFirst(Self.trigger.count) : nil
        (isInside, instructions) = (false, 0)
      } else if line.hasPrefix("fn=") {
        isInside = line.dropFirst(3) == symbol
      } else if isInside, line.first?.isNumber == true {
        // A line of its own, or of what it has called; the last word is the cost.
        instructions += line.split(separator: " ").last.flatMap { Int($0) } ?? 0
      } else if line.hasPrefix("totals: "), let name = symbol {
        calls.append(Call(String(name), instructions))
        symbol = nil
      }
    }
    self.calls = calls
  }

  /// What each workload has taken for one operation.
  ///
  /// - Parameters:
  ///   - workloads: that were run one after the other, each a round to warm up and a round.
  ///   - repetitions: in a round.
  /// - Returns: nil if the calls are not theirs.
  package func perOperation(
    of workloads: [Workload], _ repetitions: Int
  ) -> [(workload: String, count: Double)]? {
    guard calls.map(\.symbol) == workloads.flatMap({ [$0.symbol, $0.symbol] }) else { return nil }
    return workloads.enumerated().map { index, workload in
      (workload.name, Double(calls[2 * index + 1].instructions) / Double(repetitions))
    }
  }

  private static let trigger = "desc: Trigger: --dump-after="
}
