/// Reads an object of strings and numbers, strictly (RFC 8259): nil for anything else.
struct FlatJSON {
  private var rest: Substring.UnicodeScalarView

  /// The values as text, strings without their quotes.
  static func parse(_ text: String) -> [String: String]? {
    var parser = FlatJSON(rest: Substring(text).unicodeScalars)
    return parser.object()
  }

  private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard rest.first == scalar else { return false }
    rest.removeFirst()
    return true
  }

  private mutating func object() -> [String: String]? {
    guard take("{") else { return nil }
    var members: [String: String] = [:]
    repeat {
      guard let name = string(), take(":"), let value = string() ?? number(),
        members.updateValue(value, forKey: name) == nil
      else { return nil }
    } while take(",")
    return take("}") && rest.isEmpty ? members : nil
  }

  private mutating func number() -> String? {
    let digits = rest.prefix { ("0"..."9").contains($0) || $0 == "." }
    rest = rest[digits.endIndex...]
    let parts = String(digits).split(separator: ".", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }),
      parts[0] == "0" || parts[0].first != "0"
    else { return nil }
    return String(digits)
  }

  private mutating func string() -> String? {
    guard take("\"") else { return nil }
    var value = String.UnicodeScalarView()
    while let scalar = rest.popFirst() {
      switch scalar {
      case "\"": return String(value)
      case "\\":
        guard let escaped = escape() else { return nil }
        value.append(escaped)
      case _ where scalar.value < 0x20: return nil
      default: value.append(scalar)
      }
    }
    return nil
  }

  private mutating func escape() -> Unicode.Scalar? {
    switch rest.popFirst() {
    case "\"": return "\""
    case "\\": return "\\"
    case "u":
      let digits = String(rest.prefix(4))
      rest = rest.dropFirst(4)
      guard digits.count == 4, let code = UInt32(digits, radix: 16) else { return nil }
      return Unicode.Scalar(code)
    default: return nil
    }
  }
}
