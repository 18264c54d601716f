/// The story of one execution, thread by thread and step by step.
struct Trace {
  private var steps: [(name: String, text: String)] = []
  /// The threads are done; what comes now are the checks.
  var isAtEnd = false

  /// The steps, with the names of the threads in one column.
  var lines: [String] {
    let width = steps.map(\.name.count).max() ?? 0
    return steps.map {
      $0.name + String(repeating: " ", count: width - $0.name.count + 2) + $0.text
    }
  }

  mutating func note(_ text: String, by name: String) { steps.append((name, text)) }
}

extension Execution {
  /// Adds a line to the story, which ends where something has gone wrong. If there is none, nothing
  /// is computed.
  @inline(__always)
  func note(_ text: @autoclosure () -> String) {
    if trace != nil && failure == nil { note(by: current, text()) }
  }

  func note(by index: Int, _ text: String) {
    let name =
      index != Self.outside ? name(of: index) : trace?.isAtEnd == true ? "at the end" : "set-up"
    trace?.note(text, by: name)
  }

  /// A word and a value of it, in words.
  func describe(_ location: UInt8, _ value: UInt64) -> String {
    "\(memory.name(location)): \(memory.describe(value, at: location))"
  }
}
