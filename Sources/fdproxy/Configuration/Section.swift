import Yams

/// A mapping of a configuration file. Its keys are asked for one by one; when it is finished, what
/// nobody has asked for is unknown. Used by one thread.
final class Section {
  private struct Entry {
    let key: Place?
    let value: Node
  }

  /// Where it begins.
  let start: Place?
  private let complaints: Complaints
  private var entries: [String: Entry] = [:]
  private var known: [String] = []

  init(_ node: Node, _ complaints: Complaints) {
    start = node.place
    self.complaints = complaints
    for (key, value) in node.mapping ?? [:] {
      guard let name = key.scalar?.string else {
        complaints.add("a key is one word", at: key.place)
        continue
      }
      if !YAMLFile.isRepetition(name) { entries[name] = Entry(key: key.place, value: value) }
    }
  }

  func has(_ key: String) -> Bool { entries[key] != nil }

  /// Of its value, or nil if there is none.
  func place(of key: String) -> Place? { entries[key].flatMap { place(of: $0) } }

  func complain(_ text: String, at place: Place?) { complaints.add(text, at: place) }

  /// Something that keys say together is wrong.
  func complain(_ key: String, _ error: InvalidValue, at place: Place?) {
    complaints.add(key, error, at: place)
  }

  // MARK: Asking

  /// The value of a key, or nil if it is not there or wrong.
  func value<Result>(
    _ key: String, _ read: (String) throws(InvalidValue) -> Result
  ) -> Result? {
    guard let entry = entry(key) else { return nil }
    return scalar(key, entry, read)
  }

  /// The values of a key that has one or a list, with their places.
  func values<Result>(
    _ key: String, _ read: (String) throws(InvalidValue) -> Result
  ) -> [(value: Result, place: Place?)] {
    guard let entry = entry(key) else { return [] }
    guard case .sequence(let list) = entry.value else {
      return scalar(key, entry, read).map { [($0, place(of: entry))] } ?? []
    }
    return list.compactMap { node in
      scalar(key, Entry(key: entry.key, value: node), read).map { ($0, node.place) }
    }
  }

  /// The same, and there is one at least.
  ///
  /// - Parameter example: what to write.
  func someValues<Result>(
    _ key: String, example: String, _ read: (String) throws(InvalidValue) -> Result
  ) -> [Result] {
    if !has(key) {
      complain("no \(key): say \(example)", at: start)
    } else if case .sequence(let list) = entries[key]?.value, list.isEmpty {
      complain("\(key): the list is empty: say \(example)", at: place(of: key))
    }
    return values(key, read).map(\.value)
  }

  /// The section under a key; an empty one if the key has nothing.
  func section(_ key: String) -> Section? {
    guard let entry = entry(key) else { return nil }
    guard entry.value.mapping != nil || isNothing(entry.value) else {
      complain(
        "\(key): it consists of keys with values, each on a line of its own", at: place(of: entry))
      return nil
    }
    return Section(entry.value, complaints)
  }

  /// The sections of a list under a key.
  func sections(_ key: String) -> [Section] {
    guard let entry = entry(key) else { return [] }
    guard case .sequence(let list) = entry.value else {
      complain("\(key): it is a list, each item begins with a dash", at: place(of: entry))
      return []
    }
    return list.compactMap { node in
      guard node.mapping != nil else {
        complain("\(key): each item consists of keys with values", at: node.place)
        return nil
      }
      return Section(node, complaints)
    }
  }

  /// Complains about keys that have a meaning, but not here.
  func refuse(_ keys: [String], _ reason: String) {
    for key in keys where has(key) {
      known.append(key)
      complain("\(key): \(reason)", at: entries[key]?.key)
    }
  }

  /// Complains about every key that nobody has asked for.
  ///
  /// - Parameter elsewhere: says where a key belongs, if somewhere else; by key.
  func finish(elsewhere: [String: String] = [:]) {
    for (name, entry) in entries where !known.contains(name) {
      let hint =
        elsewhere[name].map { "write \($0)" }
        ?? NearestWord.to(name, among: known).map { "did you mean \($0)?" }
        ?? "there can be \(Set(known).sorted().joined(separator: ", "))"
      complain("unknown key \(name): \(hint)", at: entry.key)
    }
  }

  private func entry(_ key: String) -> Entry? {
    known.append(key)
    return entries[key]
  }

  private func scalar<Result>(
    _ key: String, _ entry: Entry, _ read: (String) throws(InvalidValue) -> Result
  ) -> Result? {
    guard let scalar = entry.value.scalar else {
      let kind = entry.value.mapping == nil ? "a list" : "keys with values"
      complain("\(key): it is one value, not \(kind)", at: place(of: entry))
      return nil
    }
    guard !isNothing(entry.value) else {
      complain("\(key): it has no value", at: place(of: entry))
      return nil
    }
    do {
      return try read(scalar.string)
    } catch {
      let isNamed = error.description.contains(scalar.string.debugDescription)
      let text = isNamed ? error.description : "\(scalar.string.debugDescription): \(error)"
      complaints.add("\(key): \(text)", at: place(of: entry), isLookUp: error.isLookUp)
      return nil
    }
  }

  private func place(of entry: Entry) -> Place? {
    isNothing(entry.value) ? entry.key : entry.value.place
  }

  private func isNothing(_ node: Node) -> Bool {
    guard let scalar = node.scalar, scalar.style == .plain else { return false }
    return ["", "~", "null"].contains(scalar.string)
  }
}

extension Node {
  fileprivate var place: Place? { mark.map(Place.init) }
}
