import FDNet
import Logging

/// Why a value cannot be as it was written: what is wrong with it, and what to write instead.
struct InvalidValue: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// Reads the values of flags.
enum Value {
  typealias Reader<Result> = @Sendable (String) throws(InvalidValue) -> Result

  static func count(_ range: ClosedRange<Int>) -> Reader<Int> {
    { text throws(InvalidValue) in
      guard let number = Int(text), range ~= number else {
        throw InvalidValue("it can be \(range.lowerBound) to \(range.upperBound)")
      }
      return number
    }
  }

  private static let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)]
  /// More would be more than a day, and is rather a mistake.
  private static let longestSeconds = 86_400.0

  /// A time in seconds, or with its unit.
  @Sendable static func time(_ text: String) throws(InvalidValue) -> Duration {
    let unit = units.first { text.hasSuffix($0.0) }
    let digits = text.dropLast(unit?.0.count ?? 0)
    let isPlain = digits.allSatisfy { $0.isASCII && $0.isNumber || $0 == "." }
    guard isPlain, let number = Double(digits), number * (unit?.1 ?? 1) <= longestSeconds else {
      throw InvalidValue("write a time as 5, 0.5, 500ms, 5s, 1m or 1h, up to a day")
    }
    return .milliseconds((number * (unit?.1 ?? 1) * 1000).rounded(.up))
  }

  @Sendable static func positiveTime(_ text: String) throws(InvalidValue) -> Duration {
    let time = try time(text)
    guard time > .zero else { throw InvalidValue("it must be more than 0") }
    return time
  }

  @Sendable static func logLevel(_ text: String) throws(InvalidValue) -> Logger.Level {
    guard let level = Logger.Level(rawValue: text) else {
      let all = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
      throw InvalidValue("write one of \(all)")
    }
    return level
  }

  @Sendable static func id(_ text: String) throws(InvalidValue) -> SessionID {
    guard let id = SessionID(text) else { throw InvalidValue("it is \(SessionID.rule)") }
    return id
  }

  /// Where to listen: looked up, and only the first address counts.
  @Sendable static func address(_ text: String) throws(InvalidValue) -> SocketAddress {
    do {
      return try SocketAddress.resolve(text)[0]
    } catch {
      throw InvalidValue("\(error)")
    }
  }

  /// Where to connect: kept as it is, because a name is looked up when it is needed.
  @Sendable static func target(_ text: String) throws(InvalidValue) -> String {
    do {
      _ = try SocketAddress(parsing: text)
    } catch {
      guard SocketAddressForm.isNamed(text) else { throw InvalidValue("\(error)") }
    }
    return text
  }

  /// `[ID[/SERVICE]=]ADDRESS`.
  @Sendable static func route(_ text: String) throws(InvalidValue) -> Route {
    let (names, address) = split(text)
    guard let names else {
      return Route(id: .ordinary, service: .ordinary, address: try Self.address(address))
    }
    let parts = names.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    return Route(
      id: try id(String(parts[0])),
      service: parts.count > 1 ? try id(String(parts[1])) : .ordinary,
      address: try Self.address(address))
  }

  /// `[NAME=]ADDRESS`.
  @Sendable static func service(_ text: String) throws(InvalidValue) -> NamedService {
    let (name, address) = split(text)
    return NamedService(name: try name.map(id) ?? .ordinary, address: try target(address))
  }

  /// Cuts at the first `=`, unless that is in the path of a Unix-domain socket.
  private static func split(_ text: String) -> (String?, String) {
    guard !text.hasPrefix("unix:"), let sign = text.firstIndex(of: "=") else { return (nil, text) }
    return (String(text[..<sign]), String(text[text.index(after: sign)...]))
  }

  @Sendable static func url(_ text: String) throws(InvalidValue) -> TargetURL {
    guard let url = TargetURL(text) else {
      throw InvalidValue("write it as http://HOST[:PORT][/PATH]; https is not spoken here")
    }
    return url
  }
}

/// A service of an agent, as a flag names it.
struct NamedService: Sendable {
  let name: SessionID
  let address: String
}

/// Host names, which are not looked up here.
private enum SocketAddressForm {
  static func isNamed(_ text: String) -> Bool {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, let port = UInt16(parts[1]), port > 0, let first = parts[0].first
    else { return false }
    return parts[0].allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) || "-._".contains($0) }
      && (first.isLetter || !parts[0].allSatisfy { $0.isNumber || $0 == "." })
  }
}

/// The URL of an authorising server.
struct TargetURL: Sendable {
  let text: String
  /// With the port, as an address is written.
  let address: String
  /// As the field Host has it.
  let host: String
  let path: String

  init?(_ text: String) {
    guard text.hasPrefix("http://"), text.utf8.allSatisfy({ 0x21...0x7e ~= $0 && $0 != 0x23 })
    else { return nil }
    let rest = text.dropFirst("http://".count)
    let slash = rest.firstIndex(of: "/") ?? rest.endIndex
    let host = String(rest[..<slash])
    let hasPort = host.hasPrefix("[") ? host.contains("]:") : host.contains(":")
    let address = hasPort ? host : host + ":80"
    guard !host.contains("@"), (try? Value.target(address)) != nil else { return nil }
    self.text = text
    self.host = host
    self.address = address
    path = slash == rest.endIndex ? "/" : String(rest[slash...])
  }
}
