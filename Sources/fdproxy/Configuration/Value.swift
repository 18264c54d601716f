import FDNet
import Logging
import ReverseProxy

/// Why a value cannot be as it was written: what is wrong with it, and what to write instead.
struct InvalidValue: Error, CustomStringConvertible {
  let description: String
  /// The value may be right: a host name could not be looked up.
  let isLookUp: Bool

  init(_ description: String, isLookUp: Bool = false) {
    self.description = description
    self.isLookUp = isLookUp
  }
}

/// Reads the values of settings, which look the same on the command line and in a file.
enum Value {
  typealias Reader<Result> = @Sendable (String) throws(InvalidValue) -> Result

  // MARK: Numbers

  static func count(_ range: ClosedRange<Int>) -> Reader<Int> {
    { text throws(InvalidValue) in
      guard let number = Int(text), range ~= number else {
        throw InvalidValue("it can be \(range.lowerBound) to \(range.upperBound)")
      }
      return number
    }
  }

  /// Bytes, with K and M for 1,024 and for 1,048,576 of them.
  static func bytes(_ range: ClosedRange<Int>) -> Reader<Int> {
    { text throws(InvalidValue) in
      let unit = ["K": 1 << 10, "M": 1 << 20][text.suffix(1).uppercased()]
      let (bytes, isTooMuch) =
        Int(unit == nil ? text[...] : text.dropLast())?
        .multipliedReportingOverflow(by: unit ?? 1) ?? (0, true)
      guard !isTooMuch, range ~= bytes else {
        throw InvalidValue(
          "it can be \(range.lowerBound) to \(range.upperBound) bytes, "
            + "as a number or, for example, as 8K or 1M")
      }
      return bytes
    }
  }

  static let any = count(0...1_000_000_000)
  static let atLeastOne = count(1...1_000_000_000)
  static let retries = count(0...100)
  static let processor = count(0...65_535)
  static let lineBytes = bytes(64...1 << 20)
  static let headBytes = bytes(256...1 << 20)
  static let fields = count(1...10_000)
  /// The poller says what it can be.
  @Sendable static func threads(_ text: String) throws(InvalidValue) -> Int {
    guard let number = Int(text) else { throw InvalidValue("it is no number") }
    return number
  }

  // MARK: Times

  private static let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)]
  /// More would be more than a year, and is rather a mistake.
  private static let longestSeconds = 31_536_000.0

  /// A time in seconds, or with its unit.
  @Sendable static func time(_ text: String) throws(InvalidValue) -> Duration {
    let unit = units.first { text.hasSuffix($0.0) }
    let digits = text.dropLast(unit?.0.count ?? 0)
    let isPlain = digits.allSatisfy { $0.isASCII && $0.isNumber || $0 == "." }
    guard isPlain, let number = Double(digits), number * (unit?.1 ?? 1) <= longestSeconds else {
      throw InvalidValue("write a time as 5, 0.5, 500ms, 5s, 1m or 1h, up to a year")
    }
    return .milliseconds((number * (unit?.1 ?? 1) * 1000).rounded(.up))
  }

  @Sendable static func positiveTime(_ text: String) throws(InvalidValue) -> Duration {
    let time = try time(text)
    guard time > .zero else { throw InvalidValue("it must be more than 0") }
    return time
  }

  // MARK: Words

  /// One of the words that a type consists of.
  @Sendable static func word<Word>(_ text: String) throws(InvalidValue) -> Word
  where Word: CaseIterable & RawRepresentable<String> {
    guard let word = Word(rawValue: text) else {
      throw InvalidValue("write \(choice(Word.allCases.map(\.rawValue)))")
    }
    return word
  }

  private static func choice(_ words: [String]) -> String {
    guard let last = words.last, words.count > 1 else { return words.first ?? "" }
    return words.dropLast().joined(separator: ", ") + " or " + last
  }

  @Sendable static func truth(_ text: String) throws(InvalidValue) -> Bool {
    guard let truth = Bool(text) else { throw InvalidValue("write true or false") }
    return truth
  }

  @Sendable static func logLevel(_ text: String) throws(InvalidValue) -> Logger.Level {
    try word(text)
  }

  @Sendable static func path(_ text: String) throws(InvalidValue) -> String {
    guard !text.isEmpty, !text.contains("\0") else { throw InvalidValue("write a path") }
    return text
  }
}

// MARK: - Addresses and names

extension Value {
  /// Looks a host name up.
  @Sendable static func address(_ text: String) throws(InvalidValue) -> NamedAddress {
    do {
      return NamedAddress(name: text, addresses: try SocketAddress.resolve(text))
    } catch {
      throw InvalidValue("\(error)", isLookUp: error.isLookUp)
    }
  }

  @Sendable static func groupName(_ text: String) throws(InvalidValue) -> String {
    guard isGroupName(text) else {
      throw InvalidValue("a group's name is of letters, digits, - and _, at most 64 of them")
    }
    return text
  }

  static func isGroupName(_ text: some StringProtocol) -> Bool {
    1...64 ~= text.utf8.count
      && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) || $0 == "-" || $0 == "_" }
  }

  /// The host of a route.
  @Sendable static func hostPattern(_ text: String) throws(InvalidValue) -> String {
    let name = text.hasPrefix("*.") ? text.dropFirst(2) : text[...]
    let isAddress = name.hasPrefix("[") && name.hasSuffix("]")
    guard !name.isEmpty, isAddress || isHostName(name) else {
      throw InvalidValue("write a host without a port, as www.example.org or *.example.org")
    }
    return text.lowercased()
  }

  private static func isHostName(_ text: some StringProtocol) -> Bool {
    text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) || "-_.".contains($0) }
  }

  /// The beginning of a route's paths; nil is every path.
  @Sendable static func pathPrefix(_ text: String) throws(InvalidValue) -> String? {
    guard isPath(text), !text.contains("?") else {
      throw InvalidValue("write a path that begins with a slash, as /api")
    }
    if text == "/" { return nil }
    guard !text.hasSuffix("/") else {
      throw InvalidValue("write it without the slash at its end: /api is all below it, too")
    }
    return text
  }

  /// What a health check asks for; nil asks for a connection only.
  @Sendable static func healthPath(_ text: String) throws(InvalidValue) -> String? {
    if text == "none" { return nil }
    guard isPath(text) else {
      throw InvalidValue("write a path as /health, or none to try a connection only")
    }
    return text
  }

  /// It is sent as it is.
  private static func isPath(_ text: String) -> Bool {
    text.hasPrefix("/") && text.utf8.allSatisfy { 0x21...0x7e ~= $0 && $0 != UInt8(ascii: "#") }
  }

  /// What backends get as the host.
  @Sendable static func host(
    _ text: String
  ) throws(InvalidValue) -> HTTPProxyConfiguration.Forwarding.Host {
    switch text {
    case "preserve": return .preserved
    case "backend": return .backend
    default:
      // A name, or an address, and perhaps a port (RFC 9110, section 7.2).
      guard !text.isEmpty, isHostName(text.filter { !"[:]".contains($0) }) else {
        throw InvalidValue("write preserve, backend, or the name to send, as www.example.org")
      }
      return .fixed(text)
    }
  }

  /// A pseudonym is a token (RFC 9110, sections 5.6.2 and 7.6.3); nil is none.
  @Sendable static func via(_ text: String) throws(InvalidValue) -> String? {
    if text == "none" { return nil }
    let isToken = text.allSatisfy {
      $0.isASCII && ($0.isLetter || $0.isNumber) || "!#$%&'*+-.^_`|~".contains($0)
    }
    guard isToken, !text.isEmpty else {
      throw InvalidValue("write a name without spaces, or none to send no Via")
    }
    return text
  }
}

// MARK: - Nothing

extension Duration {
  /// Of a time where 0 is written for none.
  var unlessZero: Duration? { self == .zero ? nil : self }
}

extension Int {
  /// Of a number where 0 is written for no limit.
  var unlessZero: Int? { self == 0 ? nil : self }
}
