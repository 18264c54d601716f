/// Whether a text is well-formed JSON (RFC 8259), whatever it says.
struct JSONShape {
  private var rest: Substring.UnicodeScalarView

  static func check(_ text: String) -> Bool {
    var shape = JSONShape(rest: Substring(text).unicodeScalars)
    guard shape.value() else { return false }
    shape.skipSpace()
    return shape.rest.isEmpty
  }

  private mutating func skipSpace() { rest = rest.drop { " \n\r\t".unicodeScalars.contains($0) } }

  private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    skipSpace()
    guard rest.first == scalar else { return false }
    rest.removeFirst()
    return true
  }

  private mutating func value() -> Bool {
    skipSpace()
    switch rest.first {
    case "{": return list(end: "}") { $0.string() && $0.take(":") && $0.value() }
    case "[": return list(end: "]") { $0.value() }
    case "\"": return string()
    default:
      let digits = rest.prefix { ("0"..."9").contains($0) || $0 == "." }
      rest = rest[digits.endIndex...]
      return Double(String(digits)) != nil && digits.last != "."
    }
  }

  private mutating func list(
    end: Unicode.Scalar, _ element: (inout JSONShape) -> Bool
  ) -> Bool {
    rest.removeFirst()
    if take(end) { return true }
    repeat { if !element(&self) { return false } } while take(",")
    return take(end)
  }

  private mutating func string() -> Bool {
    guard take("\"") else { return false }
    while let scalar = rest.popFirst() {
      switch scalar {
      case "\"": return true
      case _ where scalar.value < 0x20: return false
      case "\\":
        guard let escape = rest.popFirst() else { return false }
        if escape == "u" {
          let digits = rest.prefix(4)
          guard digits.count == 4, digits.allSatisfy(\.properties.isASCIIHexDigit) else {
            return false
          }
          rest = rest.dropFirst(4)
        } else if !"\"\\/bfnrt".unicodeScalars.contains(escape) {
          return false
        }
      default: break
      }
    }
    return false
  }
}
