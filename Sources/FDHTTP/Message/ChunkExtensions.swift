/// Where in the extensions of a chunk a reader is (RFC 9112, section 7.1.1).
///
/// They mean nothing here, but are held to the grammar: a reader that lets a quoted value reach over
/// the end of the line sees another message than one that does not.
enum ChunkExtensions: Sendable {
  /// Behind a semicolon.
  case start
  case name, afterName
  /// Behind an equals sign.
  case equals
  case value, quoted, escaped, endQuote, afterValue

  /// Whether the line may end here.
  var mayEnd: Bool {
    switch self {
    case .name, .value, .endQuote: true
    case .start, .afterName, .equals, .quoted, .escaped, .afterValue: false
    }
  }

  /// Returns where the reader is after this byte; nil if the byte must not be there.
  func after(_ byte: UInt8) -> Self? {
    switch (self, byte) {
    case (.escaped, _), (.quoted, _):
      if !Syntax.isFieldValue(byte) { return nil }
      if self == .escaped { return .quoted }
      return byte == UInt8(ascii: "\\")
        ? .escaped : byte == UInt8(ascii: "\"") ? .endQuote : .quoted
    case (.start, Syntax.space), (.start, Syntax.tab): return .start
    case (.equals, Syntax.space), (.equals, Syntax.tab): return .equals
    case (.name, Syntax.space), (.name, Syntax.tab): return .afterName
    case (.afterName, Syntax.space), (.afterName, Syntax.tab): return .afterName
    case (_, Syntax.space), (_, Syntax.tab): return .afterValue
    case (.name, UInt8(ascii: "=")), (.afterName, UInt8(ascii: "=")): return .equals
    case (.equals, UInt8(ascii: "\"")): return .quoted
    case (.start, UInt8(ascii: ";")), (.equals, UInt8(ascii: ";")): return nil
    case (_, UInt8(ascii: ";")): return .start
    case (.start, _), (.name, _): return Syntax.isToken(byte) ? .name : nil
    case (.equals, _), (.value, _): return Syntax.isToken(byte) ? .value : nil
    case (.afterName, _), (.endQuote, _), (.afterValue, _): return nil
    }
  }
}
