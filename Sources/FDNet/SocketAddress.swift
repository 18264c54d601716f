import CShims
import Glibc

/// The address of a stream socket: IPv4, IPv6 or Unix-domain.
///
/// A value of 24 bytes that any thread may use; only a Unix-domain name is on the heap. As text:
///
/// | text                                  | address                                            |
/// |---------------------------------------|----------------------------------------------------|
/// | `127.0.0.1:8080`                      | IPv4                                               |
/// | `*:8080`, `:8080`                     | every IPv4 address of this machine, 0.0.0.0        |
/// | `[::1]:8080`, `[::]:8080`             | IPv6 (RFC 3986, section 3.2.2, for the brackets)   |
/// | `[fe80::1%eth0]:80`, `[fe80::1%2]:80` | IPv6 with a zone (RFC 4007, section 11)            |
/// | `unix:/run/server`, `unix:server`     | Unix-domain, the path of a file                    |
/// | `unix:@server`                        | Unix-domain, a name in the abstract namespace      |
/// | `localhost:8080`                      | a host name, for `resolve` only                    |
public struct SocketAddress: Sendable, Hashable {
  /// The kind of network that an address belongs to.
  public enum Family: Sendable, Hashable { case ipv4, ipv6, unix }

  /// IP addresses are kept as the bytes that travel, ports as numbers.
  enum Storage: Sendable, Hashable {
    case ipv4(UInt32, port: UInt16)
    /// Without the flow label: it belongs to a packet, and two addresses would differ by it.
    case ipv6(high: UInt64, low: UInt64, zone: UInt32, port: UInt16)
    /// The used bytes of sun_path, without the NUL that ends a path. An abstract name begins with
    /// NUL; a socket that was never bound has no bytes.
    case unix([UInt8])
  }

  /// The most bytes in a Unix-domain name: sun_path has 108, and a path has a NUL after it, an
  /// abstract name one before it (unix(7)).
  public static let maximumUnixNameBytes = 107

  let storage: Storage

  init(_ storage: Storage) { self.storage = storage }

  /// - Parameters:
  ///   - ipv4: the four numbers as they are written, `(127, 0, 0, 1)`.
  ///   - port: 0 to have the kernel choose a free one in bind(2).
  public init(ipv4: (UInt8, UInt8, UInt8, UInt8), port: UInt16) {
    storage = .ipv4(unsafeBitCast(ipv4, to: UInt32.self), port: port)
  }

  /// 127.0.0.1, this machine by IPv4; the kernel replaces port 0 by a free one in bind(2).
  public static func loopback(port: UInt16) -> SocketAddress {
    SocketAddress(ipv4: (127, 0, 0, 1), port: port)
  }

  /// ::1, this machine by IPv6; the kernel replaces port 0 by a free one in bind(2).
  public static func ipv6Loopback(port: UInt16) -> SocketAddress {
    SocketAddress(.ipv6(high: 0, low: UInt64(1).bigEndian, zone: 0, port: port))
  }

  /// A Unix-domain address.
  ///
  /// - Parameter path: of a file, or `@` and an abstract name; a file whose name begins with `@` is
  ///   written `./@name`. Not empty, and at most `maximumUnixNameBytes` bytes without the `@`.
  /// - Throws: `SocketAddressError` if the path is empty, too long, or contains a NUL.
  public static func unix(path: String) throws(SocketAddressError) -> SocketAddress {
    try AddressText(text: "unix:" + path).unixAddress()
  }

  /// The port, or nil for a Unix-domain address.
  public var port: UInt16? {
    switch storage {
    case .ipv4(_, let port), .ipv6(_, _, _, let port): port
    case .unix: nil
    }
  }

  /// The kind of network.
  public var family: Family {
    switch storage {
    case .ipv4: .ipv4
    case .ipv6: .ipv6
    case .unix: .unix
    }
  }
}

// MARK: - Text

extension SocketAddress {
  /// Reads an address; the table above has the forms. Looks nothing up but the name of a zone.
  ///
  /// - Throws: `SocketAddressError` if the text is none of the forms, or is a host name.
  public init(parsing text: String) throws(SocketAddressError) {
    let addressText = AddressText(text: text)
    switch try addressText.read() {
    case .address(let address): self = address
    case .hostName(let name, let port):
      throw addressText.error(
        "\(name.debugDescription) is a host name, and names are not looked up here; "
          + "write an IP address, for example 127.0.0.1:\(port)")
    }
  }

  /// Reads an address, and looks it up by getaddrinfo(3) if it is a host name.
  ///
  /// That may wait for a name server for many seconds: call it while starting, never on a loop.
  ///
  /// - Parameter text: in one of the forms of the table above. A host name is in ASCII.
  /// - Returns: at least one address, none of them twice, the one to try first in front (RFC 6724).
  /// - Throws: `SocketAddressError` if the text is none of the forms, or the name has no address.
  public static func resolve(_ text: String) throws(SocketAddressError) -> [SocketAddress] {
    let addressText = AddressText(text: text)
    switch try addressText.read() {
    case .address(let address): return [address]
    case .hostName(let name, let port): return try addressText.lookUp(name, port: port)
    }
  }
}

extension SocketAddress: CustomStringConvertible {
  /// The address as it is written in a configuration, a zone by its number.
  ///
  /// An address that was parsed or made parses back to an equal one. Some that only the kernel can
  /// report do not, such as that of a socket that was never bound (`unix:`), a name that is not
  /// UTF-8, or a path that begins with @ (it is given as ./@).
  public var description: String {
    switch storage {
    case .ipv4(let address, let port):
      let (a, b, c, d) = unsafeBitCast(address, to: (UInt8, UInt8, UInt8, UInt8).self)
      return "\(a).\(b).\(c).\(d):\(port)"
    case .ipv6(let high, let low, let zone, let port):
      let numerals = Self.ipv6Numerals((high, low))
      return zone == 0 ? "[\(numerals)]:\(port)" : "[\(numerals)%\(zone)]:\(port)"
    case .unix(let name) where name.first == 0:
      return "unix:@" + String(decoding: name.dropFirst(), as: UTF8.self)
    case .unix(let path):
      // Bare, a path that begins with @ would parse as an abstract name.
      return (path.first == UInt8(ascii: "@") ? "unix:./" : "unix:")
        + String(decoding: path, as: UTF8.self)
    }
  }

  /// The address without its port, as Forwarded and X-Forwarded-For have it: one of another kind is
  /// `unknown` (RFC 7239, section 6.2).
  package var hostText: String {
    switch storage {
    case .ipv4(let address, _):
      let (a, b, c, d) = unsafeBitCast(address, to: (UInt8, UInt8, UInt8, UInt8).self)
      return "\(a).\(b).\(c).\(d)"
    case .ipv6(let high, let low, _, _): return Self.ipv6Numerals((high, low))
    case .unix: return "unknown"
    }
  }

  /// The address with port 0: the machine that it is of.
  package var host: SocketAddress {
    switch storage {
    case .ipv4(let address, _): SocketAddress(.ipv4(address, port: 0))
    case .ipv6(let high, let low, let zone, _):
      SocketAddress(.ipv6(high: high, low: low, zone: zone, port: 0))
    case .unix: SocketAddress(.unix([]))
    }
  }

  private static func ipv6Numerals(_ address: (high: UInt64, low: UInt64)) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { buffer in
      withUnsafePointer(to: address) { address in
        String(cString: inet_ntop(AF_INET6, address, buffer.baseAddress!, UInt32(buffer.count)))
      }
    }
  }
}

// MARK: - The kernel's form

extension SocketAddress {
  private static let unixNameOffset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!

  /// AF_INET, AF_INET6 or AF_UNIX, for socket(2).
  package var domain: Int32 {
    switch storage {
    case .ipv4: AF_INET
    case .ipv6: AF_INET6
    case .unix: AF_UNIX
    }
  }

  /// The path of the socket's file, for unlink(2); nil if it has none, or one that is not UTF-8.
  package var unixPath: String? {
    guard case .unix(let name) = storage, name.first ?? 0 != 0 else { return nil }
    return String(validating: name, as: UTF8.self)
  }

  /// Lends the address as bind(2) and connect(2) want it.
  ///
  /// - Parameter body: gets the sockaddr and its length in bytes; the pointer dies with its return.
  package func withSockAddr<R, E>(
    _ body: (UnsafeRawPointer, UInt32) throws(E) -> R
  ) throws(E) -> R {
    switch storage {
    case .ipv4(let address, let port):
      var form = sockaddr_in()
      form.sin_family = sa_family_t(AF_INET)
      form.sin_port = port.bigEndian
      form.sin_addr.s_addr = address
      return try Self.lend(form, length: MemoryLayout<sockaddr_in>.size, to: body)
    case .ipv6(let high, let low, let zone, let port):
      let form = sockaddr_in6(
        sin6_family: sa_family_t(AF_INET6), sin6_port: port.bigEndian, sin6_flowinfo: 0,
        sin6_addr: unsafeBitCast((high, low), to: in6_addr.self), sin6_scope_id: zone)
      return try Self.lend(form, length: MemoryLayout<sockaddr_in6>.size, to: body)
    case .unix(let name):
      var form = sockaddr_un()
      form.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &form.sun_path) { $0.copyBytes(from: name) }
      // A path counts the NUL after it, if there is room for one. An abstract name must not: the
      // NUL would be part of it.
      let length = Self.unixNameOffset + name.count + (name.first ?? 0 == 0 ? 0 : 1)
      return try Self.lend(form, length: min(length, MemoryLayout<sockaddr_un>.size), to: body)
    }
  }

  private static func lend<Form, R, E>(
    _ form: Form, length: Int, to body: (UnsafeRawPointer, UInt32) throws(E) -> R
  ) throws(E) -> R {
    try withUnsafeBytes(of: form) { (bytes) throws(E) -> R in
      try body(bytes.baseAddress!, UInt32(length))
    }
  }

  /// - Parameters:
  ///   - sockaddr: as the kernel fills it, aligned or not.
  ///   - length: of it in bytes, as the kernel says.
  /// - Returns: nil if the address is cut short or of another family.
  package init?(sockaddr: UnsafeRawPointer, length: UInt32) {
    let count = Int(length)
    guard count >= MemoryLayout<sa_family_t>.size else { return nil }
    switch Int32(sockaddr.loadUnaligned(as: sa_family_t.self)) {
    case AF_INET where count >= MemoryLayout<sockaddr_in>.size:
      let form = sockaddr.loadUnaligned(as: sockaddr_in.self)
      self.init(.ipv4(form.sin_addr.s_addr, port: UInt16(bigEndian: form.sin_port)))
    case AF_INET6 where count >= MemoryLayout<sockaddr_in6>.size:
      let form = sockaddr.loadUnaligned(as: sockaddr_in6.self)
      let (high, low) = unsafeBitCast(form.sin6_addr, to: (UInt64, UInt64).self)
      let port = UInt16(bigEndian: form.sin6_port)
      self.init(.ipv6(high: high, low: low, zone: form.sin6_scope_id, port: port))
    case AF_UNIX:
      // The kernel counts a NUL behind a path, even behind one that fills sun_path to its end.
      let end = min(count, MemoryLayout<sockaddr_un>.size)
      let bytes = UnsafeRawBufferPointer(start: sockaddr, count: end)[Self.unixNameOffset...]
      self.init(.unix(bytes.first == 0 ? Array(bytes) : Array(bytes.prefix { $0 != 0 })))
    default:
      return nil
    }
  }

  /// Reads the address that a system call such as accept(2) or getsockname(2) writes.
  ///
  /// - Parameter body: gets a buffer that has room for every address, and its size in bytes,
  ///   which it replaces by the length written.
  /// - Returns: nil if `body` returns a negative number, or the address is of another family.
  package static func reading(
    _ body: (UnsafeMutableRawPointer, UnsafeMutablePointer<UInt32>) -> Int32
  ) -> SocketAddress? {
    var buffer = sockaddr_storage()
    return withUnsafeMutableBytes(of: &buffer) { bytes in
      var length = UInt32(bytes.count)
      guard body(bytes.baseAddress!, &length) >= 0 else { return nil }
      // A longer address is cut to the buffer, yet its whole length is reported (accept(2)).
      length = min(length, UInt32(bytes.count))
      return SocketAddress(sockaddr: bytes.baseAddress!, length: length)
    }
  }
}

// MARK: - Errors

/// Why a text is no socket address: one line for the user who wrote the text.
public struct SocketAddressError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The whole text, as it was given.
  public let text: String
  /// What is wrong with it, and what to write instead.
  public let reason: String
  /// The text is well formed, but its host name could not be looked up: another time it may.
  public let isLookUp: Bool

  /// The text stands in it as a literal, so that a line break in the text does not break the line.
  public var description: String { "cannot read the address \(text.debugDescription): \(reason)" }
}
