import Yams

/// A place in a file; lines and columns count from 1.
struct Place: Comparable {
  let line: Int
  let column: Int

  init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  init(_ mark: Mark) { self.init(line: mark.line, column: mark.column) }

  static func < (first: Place, second: Place) -> Bool {
    (first.line, first.column) < (second.line, second.column)
  }
}

/// One mistake in a configuration file.
struct Complaint {
  /// Nil if it is the whole file's.
  let place: Place?
  let text: String
  /// Another time the same text may be right.
  let isLookUp: Bool
}

/// What is wrong with a configuration file: everything that was found, not only the first.
struct SettingsError: Error, CustomStringConvertible {
  /// One each mistake: file, line, column, and what to write.
  let lines: [String]
  let exitCode: Int32

  init(_ complaints: [Complaint], in path: String) {
    let start = Place(line: 0, column: 0)
    let sorted = complaints.sorted { $0.place ?? start < $1.place ?? start }
    lines = sorted.map { complaint in
      let place = complaint.place.map { "\(path):\($0.line):\($0.column)" } ?? path
      return "\(place): \(complaint.text)".split(whereSeparator: \.isNewline)
        .joined(separator: " ")
    }
    exitCode = complaints.allSatisfy(\.isLookUp) ? 1 : 2
  }

  var description: String { lines.joined(separator: "\n") }
}

/// Collects the mistakes while a file is read. Used by one thread.
final class Complaints {
  private(set) var all: [Complaint] = []

  func add(_ text: String, at place: Place?, isLookUp: Bool = false) {
    all.append(Complaint(place: place, text: text, isLookUp: isLookUp))
  }

  func add(_ key: String, _ error: InvalidValue, at place: Place?) {
    add("\(key): \(error)", at: place, isLookUp: error.isLookUp)
  }
}
