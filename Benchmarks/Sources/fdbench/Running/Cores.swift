/// Processors that a process may run on. taskset(1) puts it there.
struct Cores: Equatable {
  let numbers: [Int]

  /// Those that this process was given.
  static let available: Cores = {
    for line in (Files.read("/proc/self/status") ?? "").split(separator: "\n") {
      let words = line.split(whereSeparator: { $0 == "\t" || $0 == " " })
      guard words.count > 1, words[0] == "Cpus_allowed_list:" else { continue }
      return Cores(numbers: numbers(in: String(words[1])))
    }
    return Cores(numbers: [0])
  }()

  static var first: Cores { Cores(numbers: Array(available.numbers.prefix(1))) }

  /// The second one; the first where there is no other.
  static var other: Cores { Cores(numbers: Array(available.numbers.prefix(2).suffix(1))) }

  static var both: Cores { Cores(numbers: Array(available.numbers.prefix(2))) }

  /// In a list such as 0-3,8 (proc(5)).
  static func numbers(in list: String) -> [Int] {
    list.split(separator: ",").flatMap { part -> [Int] in
      let ends = part.split(separator: "-").compactMap { Int($0) }
      guard let first = ends.first, let last = ends.last, first <= last else { return [] }
      return Array(first...last)
    }
  }

  /// As taskset takes them.
  var list: String { numbers.map { "\($0)" }.joined(separator: ",") }
}
