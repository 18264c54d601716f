/// What a text in Prometheus's format says, read strictly: version 0.0.4, and the conventions for
/// names.
struct Exposition {
  struct Mistake: Error, Equatable {
    let line: Int
    let reason: String
  }

  /// By name and labels, as they are written.
  private(set) var samples: [String: Double] = [:]
  private(set) var types: [String: String] = [:]

  private var helped: Set<String> = []
  private var finished: Set<String> = []
  private var current: String?

  init(_ text: String) throws {
    guard text.isEmpty || text.utf8.last == UInt8(ascii: "\n") else {
      throw Mistake(line: 0, reason: "the last line does not end")
    }
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
      .enumerated()
    {
      do {
        try read(line)
      } catch {
        throw Mistake(line: index + 1, reason: "\(error.text): \(line)")
      }
    }
  }

  private struct Reason: Error { let text: String }

  private func check(_ holds: Bool, _ text: String) throws(Reason) {
    if !holds { throw Reason(text: text) }
  }

  private mutating func read(_ line: Substring) throws(Reason) {
    let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
    if line.hasPrefix("# HELP ") {
      try check(words.count == 4 && isName(words[2]), "no help")
      try begin(String(words[2]))
      try check(helped.insert(String(words[2])).inserted, "help twice")
    } else if line.hasPrefix("# TYPE ") {
      try check(words.count == 4, "no type")
      let (name, type) = (String(words[2]), String(words[3]))
      try check(current == name && helped.contains(name), "a type without help before it")
      try check(["counter", "gauge"].contains(type), "an unknown type")
      try check(types.updateValue(type, forKey: name) == nil, "a type twice")
      try check((type == "counter") == name.hasSuffix("_total"), "_total is for counters, and only")
      try check(name.hasPrefix("fdproxy_"), "no prefix")
    } else {
      try readSample(line)
    }
  }

  private mutating func begin(_ name: String) throws(Reason) {
    if let current { finished.insert(current) }
    try check(!finished.contains(name), "the samples of a name are together")
    current = name
  }

  private mutating func readSample(_ line: Substring) throws(Reason) {
    let name = line.prefix { $0.isLetter || $0.isNumber || $0 == "_" || $0 == ":" }
    try check(isName(name), "no name")
    try check(current == String(name) && types[String(name)] != nil, "a sample without a type")
    var rest = line[name.endIndex...]
    if rest.first == "{" { rest = try skipLabels(rest) }
    let series = String(line[..<rest.startIndex])
    try check(rest.first == " ", "no space before the value")
    guard let value = Double(rest.dropFirst()) else { throw Reason(text: "no value") }
    try check(samples.updateValue(value, forKey: series) == nil, "a series twice")
    try check(types[String(name)] == "gauge" || value >= 0, "a counter below zero")
  }

  /// Returns what follows them.
  private func skipLabels(_ text: Substring) throws(Reason) -> Substring {
    var rest = text.dropFirst()
    var names: Set<Substring> = []
    while true {
      let name = rest.prefix { $0 != "=" }
      try check(isName(name) && !name.contains(":"), "no name of a label")
      try check(names.insert(name).inserted, "a label twice")
      rest = rest[name.endIndex...].dropFirst()
      try check(rest.popFirst() == "\"", "no quote")
      var isEscaped = false
      while let character = rest.popFirst() {
        if isEscaped {
          try check("\\\"n".contains(character), "an unknown escape")
          isEscaped = false
        } else if character == "\"" {
          break
        } else {
          isEscaped = character == "\\"
        }
      }
      guard let next = rest.popFirst() else { throw Reason(text: "the labels do not end") }
      if next == "}" { return rest }
      try check(next == ",", "no comma")
    }
  }

  private func isName(_ text: Substring) -> Bool {
    guard let first = text.first, !first.isNumber else { return false }
    return text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == ":") }
  }

  /// The sum of all series of a name, -1 if there is none.
  func sum(_ name: String, where labels: String = "") -> Int {
    let found = samples.filter {
      ($0.key == name || $0.key.hasPrefix(name + "{"))
        && (labels.isEmpty || $0.key.contains(labels))
    }
    return found.isEmpty ? -1 : Int(found.values.reduce(0, +))
  }
}
