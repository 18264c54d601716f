/// How many instructions an operation of each exact workload takes, for one version of Swift, of the
/// C library and one architecture: a file with a line for each, made to be read.
package struct InstructionBudget: Equatable {
  package struct Line: Equatable {
    package let workload: String
    package let instructions: Double
    /// Why it is that many, and not what it was before.
    package let reason: String
  }

  package private(set) var lines: [Line]

  /// A line of a budget's file that says nothing.
  package struct Mistake: Error, Equatable, CustomStringConvertible {
    package let description: String
  }

  package init() { lines = [] }

  /// - Parameter text: of the file.
  package init(parsing text: String) throws(Mistake) {
    lines = []
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let words = line.split(separator: " ", maxSplits: 1)
      let rest = words.last?.drop { $0 == " " }.split(separator: " ", maxSplits: 1) ?? []
      guard words.count == 2, let instructions = rest.first.flatMap({ Double($0) }),
        instructions > 0
      else {
        throw Mistake(
          description: "\"\(line)\" is not a workload, its instructions and a reason")
      }
      let reason = rest.count == 2 ? String(rest[1].drop { $0 == " " }) : ""
      lines.append(
        Line(workload: String(words[0]), instructions: instructions, reason: reason))
    }
  }

  /// As it stands in the file.
  package var text: String {
    let rows =
      [("# workload", "instructions", "reason")]
      + lines.map { ($0.workload, tenths($0.instructions), $0.reason) }
    let width = rows.map(\.0.count).max() ?? 0
    return Self.head
      + rows.map { name, count, reason in
        name + spaces(width - name.count + 2) + spaces(12 - count.count) + count + "  " + reason
          + "\n"
      }.joined()
  }

  private static let head = """
    # Instructions for one operation of each workload, as callgrind counts them. `make test` fails if
    # one differs by more than 3 %. If that is meant, `make budget REASON='why'` changes its line.
    #

    """
}

// MARK: - What was counted

extension InstructionBudget {
  /// What differs by more is not as the budget says.
  package static let tolerance = 0.03

  /// What is not as the budget says, in sentences.
  ///
  /// - Parameters:
  ///   - counts: instructions for one operation, by workload.
  ///   - file: the budget's, for whoever reads this.
  package func complaints(about counts: [(workload: String, count: Double)], file: String)
    -> [String]
  {
    let remedy = "If that is meant, run `make budget REASON='why'`, which changes \(file)."
    var complaints: [String] = []
    for (workload, count) in counts {
      guard let line = lines.first(where: { $0.workload == workload }) else {
        complaints.append("\(workload) takes \(tenths(count)) instructions and has none. \(remedy)")
        continue
      }
      let change = count / line.instructions - 1
      guard abs(change) > Self.tolerance else { continue }
      complaints.append(
        "\(workload) takes \(tenths(count)) instructions instead of \(tenths(line.instructions)), "
          + "\(tenths(abs(change) * 100)) % \(change > 0 ? "more" : "less"). \(remedy)")
    }
    let known = Set(counts.map(\.workload))
    for line in lines where !known.contains(line.workload) {
      complaints.append("\(line.workload) is no workload that is counted. \(remedy)")
    }
    return complaints
  }

  /// Takes over what differs by more than the tolerance, or is new, and forgets what there is no
  /// longer.
  ///
  /// - Parameters:
  ///   - counts: instructions for one operation, by workload, in the order of the lines.
  ///   - reason: of every change, in a line.
  package mutating func adopt(_ counts: [(workload: String, count: Double)], reason: String) {
    lines = counts.map { workload, count in
      if let line = lines.first(where: { $0.workload == workload }),
        abs(count / line.instructions - 1) <= Self.tolerance
      {
        return line
      }
      return Line(workload: workload, instructions: (count * 10).rounded() / 10, reason: reason)
    }
  }
}

/// With one digit behind the point.
package func tenths(_ number: Double) -> String {
  let tenths = Int((number * 10).rounded())
  return "\(tenths / 10).\(tenths % 10)"
}

private func spaces(_ count: Int) -> String { String(repeating: " ", count: max(0, count)) }
