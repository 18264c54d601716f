import CShims
import Glibc

/// A text that is being read as an address, kept whole for the error.
struct AddressText {
  enum Reading {
    case address(SocketAddress)
    case hostName(String, port: UInt16)
  }

  private static let form = "write it as ADDRESS:PORT, for example 127.0.0.1:8080"
  private static let bracketedForm = "write it as [ADDRESS]:PORT, for example [::1]:8080"

  let text: String

  func error(_ reason: String) -> SocketAddressError {
    SocketAddressError(text: text, reason: reason, isLookUp: false)
  }

  private var noPort: SocketAddressError {
    error("no port; \(text.hasPrefix("[") ? Self.bracketedForm : Self.form)")
  }

  func read() throws(SocketAddressError) -> Reading {
    if text.isEmpty { throw error("it is empty; \(Self.form)") }
    if text.utf8.starts(with: "unix:".utf8) { return .address(try unixAddress()) }
    // From here on a character is a byte, a number is a digit, and no NUL hides the rest from C.
    guard text.utf8.allSatisfy({ UInt8(ascii: "!")...UInt8(ascii: "~") ~= $0 }) else {
      throw error("a space, or a character beyond printable ASCII; \(Self.form)")
    }
    if text.hasPrefix("[") { return .address(try bracketedAddress()) }
    guard let colon = text.firstIndex(of: ":") else { throw noPort }
    let rest = text[colon...].dropFirst()
    if rest.contains(":") {
      throw error("several colons, but no brackets around an IPv6 address; \(Self.bracketedForm)")
    }
    return try host(String(text[..<colon]), port: port(rest))
  }

  private func host(_ host: String, port: UInt16) throws(SocketAddressError) -> Reading {
    if host.isEmpty || host == "*" {
      return .address(SocketAddress(ipv4: (0, 0, 0, 0), port: port))
    }
    var address: (UInt8, UInt8, UInt8, UInt8) = (0, 0, 0, 0)
    if inet_pton(AF_INET, host, &address) == 1 {
      return .address(SocketAddress(ipv4: address, port: port))
    }
    // Never a host name: getaddrinfo(3) would read 127.1 as 127.0.0.1, and 010.0.0.1 as octal.
    if host.allSatisfy({ $0.isNumber || $0 == "." }) {
      throw error(
        "\"\(host)\" is not an IPv4 address; "
          + "write four numbers from 0 to 255, for example 127.0.0.1:\(port)")
    }
    guard host.allSatisfy({ $0.isLetter || $0.isNumber || "-._".contains($0) }) else {
      throw error(
        "\(host.debugDescription) is neither an IP address nor a host name; \(Self.form)")
    }
    return .hostName(host, port: port)
  }

  private func bracketedAddress() throws(SocketAddressError) -> SocketAddress {
    guard let bracket = text.firstIndex(of: "]") else {
      throw error("no closing bracket; \(Self.bracketedForm)")
    }
    let inside = text[..<bracket].dropFirst()
    let rest = text[bracket...].dropFirst()
    guard rest.first == ":" else { throw noPort }
    let port = try port(rest.dropFirst())
    let parts = inside.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
    var address: (high: UInt64, low: UInt64) = (0, 0)
    guard inet_pton(AF_INET6, String(parts[0]), &address) == 1 else {
      throw error(
        "\(inside.debugDescription) is not an IPv6 address, and only those go in brackets; "
          + Self.bracketedForm)
    }
    let zone = parts.count == 2 ? try zone(String(parts[1])) : 0
    return SocketAddress(.ipv6(high: address.high, low: address.low, zone: zone, port: port))
  }

  /// The number of a zone; what looks like a number is one (RFC 4007, section 11.2).
  private func zone(_ zone: String) throws(SocketAddressError) -> UInt32 {
    if zone.allSatisfy(\.isNumber), let number = UInt32(zone) { return number }
    let index = if_nametoindex(zone)
    guard index != 0 else {
      throw error("no network interface is called \(zone.debugDescription); `ip link` lists them")
    }
    return index
  }

  private func port(_ digits: Substring) throws(SocketAddressError) -> UInt16 {
    if digits.isEmpty { throw noPort }
    // Every character is looked at, since UInt16("+80") is 80.
    guard digits.allSatisfy(\.isNumber), let port = UInt16(digits) else {
      throw error("\(digits.debugDescription) is not a port; write a number from 0 to 65535")
    }
    return port
  }

  /// Reads the text, which begins with `unix:`.
  func unixAddress() throws(SocketAddressError) -> SocketAddress {
    var name = Array(text.utf8.dropFirst("unix:".utf8.count))
    let isAbstract = name.first == UInt8(ascii: "@")
    let (count, limit) = (name.count - (isAbstract ? 1 : 0), SocketAddress.maximumUnixNameBytes)
    if count == 0 {
      throw error("no path; write it as unix:PATH or unix:@NAME, for example unix:/run/server")
    }
    if count > limit {
      throw error(
        "the \(isAbstract ? "name" : "path") has \(count) bytes, "
          + "and at most \(limit) fit (unix(7)); write a shorter one")
    }
    if !isAbstract && name.contains(0) {
      throw error("a NUL in the path; write it as unix:PATH, for example unix:/run/server")
    }
    if isAbstract { name[0] = 0 }
    return SocketAddress(.unix(name))
  }

  func lookUp(_ name: String, port: UInt16) throws(SocketAddressError) -> [SocketAddress] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let status = getaddrinfo(name, String(port), &hints, &list)
    guard status == 0, let list else {
      throw SocketAddressError(
        text: text,
        reason: "looking up \"\(name)\" failed, \(String(cString: gai_strerror(status))); "
          + "check the name, or write an IP address, for example 127.0.0.1:\(port)",
        isLookUp: true)
    }
    defer { freeaddrinfo(list) }

    var addresses: [SocketAddress] = []
    for entry in sequence(first: list.pointee, next: \.ai_next?.pointee) {
      let address = SocketAddress(sockaddr: entry.ai_addr, length: entry.ai_addrlen)
      // /etc/hosts may give a name the same address twice.
      if let address, !addresses.contains(address) { addresses.append(address) }
    }
    assert(!addresses.isEmpty, "getaddrinfo knows IPv4 and IPv6 only, and fails if it finds none")
    return addresses
  }
}
