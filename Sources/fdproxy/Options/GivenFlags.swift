import ArgumentParser

/// Finds out which flags somebody has written. Every flag has a value that says so: nil, false and
/// the empty list are what was not written.
enum GivenFlags {
  /// - Returns: their names, as `--connect-timeout`.
  static func of(_ groups: [any ParsableArguments]) -> [String] {
    groups.flatMap { group in
      Mirror(reflecting: group).children.compactMap { label, value in
        guard let label, let flag = value as? any WritableFlag, flag.isWritten else { return nil }
        // A property wrapper is stored under the name of its property behind an underscore.
        return name(ofProperty: label.dropFirst())
      }
    }
  }

  private static func name(ofProperty property: Substring) -> String {
    property.reduce(into: "--") { name, letter in
      name += letter.isUppercase ? "-" + letter.lowercased() : String(letter)
    }
  }
}

private protocol WritableFlag {
  var isWritten: Bool { get }
}

private protocol WritableValue {
  var isWritten: Bool { get }
}

extension Optional: WritableValue {
  fileprivate var isWritten: Bool { self != nil }
}

extension Array: WritableValue {
  fileprivate var isWritten: Bool { !isEmpty }
}

extension Bool: WritableValue {
  fileprivate var isWritten: Bool { self }
}

extension Option: WritableFlag where Value: WritableValue {
  fileprivate var isWritten: Bool { wrappedValue.isWritten }
}

extension Flag: WritableFlag where Value: WritableValue {
  fileprivate var isWritten: Bool { wrappedValue.isWritten }
}
