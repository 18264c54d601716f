/// The story of one execution, thread by thread and step by step.
struct Trace {
  private(set) var lines: [String] = []
  private let names: [String]
  private let width: Int

  init(names: [String]) {
    self.names = names
    width = names.map(\.count).max() ?? 0
  }

  mutating func note(_ text: String, by thread: Int) {
    let name = thread < names.count ? names[thread] : "end"
    let padding = String(repeating: " ", count: max(0, width - name.count))
    lines.append("\(name)\(padding)  \(text)")
  }

  mutating func note(
    _ verb: String, _ location: UInt8, _ value: UInt64, _ ordering: Ordering, from source: String?,
    by thread: Int, _ memory: borrowing Memory
  ) {
    note(
      "\(verb) \(memory.name(location)): \(memory.describe(value, at: location)) (\(ordering)"
        + (source.map { ", from \($0)" } ?? "") + ")", by: thread)
  }

  mutating func note(
    _ verb: String, _ location: UInt8, _ value: UInt64, to other: UInt64, _ ordering: Ordering,
    by thread: Int, _ memory: borrowing Memory
  ) {
    note(
      "\(verb) \(memory.name(location)): \(memory.describe(value, at: location)) "
        + "→ \(memory.describe(other, at: location)) (\(ordering))", by: thread)
  }
}
