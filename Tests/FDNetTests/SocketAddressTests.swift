import Glibc
import Testing

@testable import FDNet

@Suite struct `Socket addresses` {
  struct Good: Sendable, CustomTestStringConvertible {
    let text: String
    let description: String
    let family: SocketAddress.Family
    let port: UInt16?
    var testDescription: String { text.debugDescription }

    init(
      _ text: String, _ family: SocketAddress.Family, port: UInt16?, as description: String? = nil
    ) {
      self.text = text
      self.description = description ?? text
      self.family = family
      self.port = port
    }
  }

  static let good = [
    Good("127.0.0.1:8080", .ipv4, port: 8080),
    Good("255.254.0.1:0", .ipv4, port: 0),
    Good("10.0.0.1:65535", .ipv4, port: 65535),
    Good("10.0.0.1:0080", .ipv4, port: 80, as: "10.0.0.1:80"),
    Good("*:80", .ipv4, port: 80, as: "0.0.0.0:80"),
    Good(":80", .ipv4, port: 80, as: "0.0.0.0:80"),
    Good("[::1]:8080", .ipv6, port: 8080),
    Good("[::]:1", .ipv6, port: 1),
    Good("[2001:DB8:0:0:0:0:0:1]:443", .ipv6, port: 443, as: "[2001:db8::1]:443"),
    Good("[::ffff:10.0.0.1]:80", .ipv6, port: 80),
    Good("[fe80::1%7]:80", .ipv6, port: 80),
    Good("[fe80::1%4294967295]:80", .ipv6, port: 80),
    Good("[fe80::1%0]:80", .ipv6, port: 80, as: "[fe80::1]:80"),
    Good("[fe80::1%lo]:80", .ipv6, port: 80, as: "[fe80::1%\(if_nametoindex("lo"))]:80"),
    Good(
      "[1111:2222:3333:4444:5555:6666:7777:8888%4294967295]:65535", .ipv6, port: 65535),
    Good("unix:/run/server.socket", .unix, port: nil),
    Good("unix:server", .unix, port: nil),
    Good("unix:./@server", .unix, port: nil),
    Good("unix:/tmp/with space:80 é\n", .unix, port: nil),
    Good("unix:@server", .unix, port: nil),
    Good("unix:@@", .unix, port: nil),
    Good("unix:@a\0b", .unix, port: nil),
    Good("unix:" + String(repeating: "p", count: 107), .unix, port: nil),
    Good("unix:@" + String(repeating: "n", count: 107), .unix, port: nil),
  ]

  @Test(arguments: good)
  func `an address is read, and its description is read as the same address`(good: Good) throws {
    let address = try SocketAddress(parsing: good.text)
    #expect(address.family == good.family)
    #expect(address.port == good.port)
    #expect(address.description == good.description)
    #expect(try SocketAddress(parsing: address.description) == address)
    #expect(try SocketAddress.resolve(good.text) == [address])
  }

  @Test(arguments: good)
  func `the kernel's form of an address is read as the same address`(good: Good) throws {
    let address = try SocketAddress(parsing: good.text)
    let copy = address.withSockAddr { SocketAddress(sockaddr: $0, length: $1) }
    #expect(copy == address)
    #expect(copy?.hashValue == address.hashValue)
  }

  static let form = "write it as ADDRESS:PORT, for example 127.0.0.1:8080"
  static let bracketedForm = "write it as [ADDRESS]:PORT, for example [::1]:8080"
  static let several = "several colons, but no brackets around an IPv6 address; \(bracketedForm)"
  static let nonASCII = "a space, or a character beyond printable ASCII; \(form)"
  static let noPath = "no path; write it as unix:PATH or unix:@NAME, for example unix:/run/server"

  static func notAPort(_ port: String) -> String {
    "\"\(port)\" is not a port; write a number from 0 to 65535"
  }
  static func notIPv4(_ host: String) -> String {
    "\"\(host)\" is not an IPv4 address; write four numbers from 0 to 255, "
      + "for example 127.0.0.1:80"
  }
  static func notIPv6(_ host: String) -> String {
    "\"\(host)\" is not an IPv6 address, and only those go in brackets; \(bracketedForm)"
  }
  static func neither(_ host: String) -> String {
    "\"\(host)\" is neither an IP address nor a host name; \(form)"
  }
  static func noInterface(_ zone: String) -> String {
    "no network interface is called \"\(zone)\"; `ip link` lists them"
  }
  static func hostName(_ name: String) -> String {
    "\"\(name)\" is a host name, and names are not looked up here; "
      + "write an IP address, for example 127.0.0.1:80"
  }
  static func tooLong(_ what: String, _ bytes: Int) -> String {
    "the \(what) has \(bytes) bytes, and at most 107 fit (unix(7)); write a shorter one"
  }

  struct Bad: Sendable, CustomTestStringConvertible {
    let text: String
    let reason: String
    var testDescription: String { text.debugDescription }

    init(_ text: String, _ reason: String) {
      self.text = text
      self.reason = reason
    }
  }

  static let bad = [
    Bad("", "it is empty; \(form)"),
    Bad("127.0.0.1", "no port; \(form)"),
    Bad("127.0.0.1:", "no port; \(form)"),
    Bad("8080", "no port; \(form)"),
    Bad(":", "no port; \(form)"),
    Bad("[::1]", "no port; \(bracketedForm)"),
    Bad("[::1]:", "no port; \(bracketedForm)"),
    Bad("[::1]8080", "no port; \(bracketedForm)"),
    Bad("127.0.0.1:65536", notAPort("65536")),
    Bad("127.0.0.1:99999999999999999999", notAPort("99999999999999999999")),
    Bad("127.0.0.1:+80", notAPort("+80")),
    Bad("127.0.0.1:-1", notAPort("-1")),
    Bad("127.0.0.1:http", notAPort("http")),
    Bad("127.0.0.1:0x50", notAPort("0x50")),
    Bad("[::1]::80", notAPort(":80")),
    Bad("127.0.0.1:80 ", nonASCII),
    Bad(" 127.0.0.1:80", nonASCII),
    Bad("127.0.0.1\0:80", nonASCII),
    Bad("127.0.0.1:80\0", nonASCII),
    Bad("127.0.0.1:\u{0661}", nonASCII),
    Bad("[\u{0301}::1]:80", nonASCII),
    Bad("[::1]:\u{0301}80", nonASCII),
    Bad("127.0.0.1:80\r\n", nonASCII),
    Bad("::1", several),
    Bad("::1:8080", several),
    Bad("::1]:8080", several),
    Bad("http://localhost:80", several),
    Bad("[::1:80", "no closing bracket; \(bracketedForm)"),
    Bad("[::1:80%eth0", "no closing bracket; \(bracketedForm)"),
    Bad("[127.0.0.1]:80", notIPv6("127.0.0.1")),
    Bad("[]:80", notIPv6("")),
    Bad("[*]:80", notIPv6("*")),
    Bad("[[::1]:80", notIPv6("[::1")),
    Bad("[%lo]:80", notIPv6("%lo")),
    Bad("[::12345]:80", notIPv6("::12345")),
    Bad("[fe80::1%]:80", noInterface("")),
    Bad("[fe80::1%nowhere0]:80", noInterface("nowhere0")),
    Bad("[fe80::1%+1]:80", noInterface("+1")),
    Bad("[fe80::1%4294967296]:80", noInterface("4294967296")),
    Bad("[fe80::1%lo%lo]:80", noInterface("lo%lo")),
    Bad("256.0.0.1:80", notIPv4("256.0.0.1")),
    Bad("127.1:80", notIPv4("127.1")),
    Bad("010.0.0.1:80", notIPv4("010.0.0.1")),
    Bad("127.0.0.1.:80", notIPv4("127.0.0.1.")),
    Bad("1:80", notIPv4("1")),
    Bad("+127.0.0.1:80", neither("+127.0.0.1")),
    Bad("**:80", neither("**")),
    Bad("user@host:80", neither("user@host")),
    Bad("::1%lo", several),
    Bad("localhost:80", hostName("localhost")),
    Bad("x127.0.0.1:80", hostName("x127.0.0.1")),
    Bad("a-b_c.example:80", hostName("a-b_c.example")),
    Bad("UNIX:80", hostName("UNIX")),
    Bad("unix", "no port; \(form)"),
    Bad("unix:", noPath),
    Bad("unix:@", noPath),
    Bad("unix:a\0b", "a NUL in the path; write it as unix:PATH, for example unix:/run/server"),
    Bad("unix:" + String(repeating: "p", count: 108), tooLong("path", 108)),
    Bad("unix:" + String(repeating: "é", count: 54), tooLong("path", 108)),
    Bad("unix:@" + String(repeating: "n", count: 200), tooLong("name", 200)),
  ]

  @Test(arguments: bad)
  func `what is no address is refused, and the error says why and what to write`(bad: Bad) {
    let error = #expect(throws: SocketAddressError.self) { try SocketAddress(parsing: bad.text) }
    #expect(error?.text == bad.text)
    #expect(error?.reason == bad.reason)
  }

  @Test func `an error is one line that quotes the text`() {
    let simple = #expect(throws: SocketAddressError.self) {
      try SocketAddress(parsing: "127.0.0.1")
    }
    #expect(
      simple?.description
        == #"cannot read the address "127.0.0.1": no port; write it as ADDRESS:PORT, "#
        + "for example 127.0.0.1:8080")
    let broken = #expect(throws: SocketAddressError.self) {
      try SocketAddress(parsing: "a\nb:80")
    }
    #expect(broken?.description.contains("\n") == false)
  }

  @Test func `the conveniences are what their texts say`() throws {
    #expect(SocketAddress.loopback(port: 80).description == "127.0.0.1:80")
    #expect(SocketAddress.ipv6Loopback(port: 80).description == "[::1]:80")
    #expect(SocketAddress(ipv4: (10, 1, 2, 3), port: 4).description == "10.1.2.3:4")
    #expect(try SocketAddress.unix(path: "/a").description == "unix:/a")
    #expect(try SocketAddress.unix(path: "@a") == SocketAddress(parsing: "unix:@a"))
    let error = #expect(throws: SocketAddressError.self) { try SocketAddress.unix(path: "") }
    #expect(error?.reason == Self.noPath)
  }

  @Test func `addresses that differ in any part differ`() throws {
    let texts = [
      "1.2.3.4:80", "1.2.3.4:81", "1.2.3.5:80", "[::1]:80", "[::1]:81", "[::2]:80", "[1::1]:80",
      "[::1%1]:80", "[::ffff:1.2.3.4]:80", "unix:a", "unix:@a", "unix:@a\0", "unix:b",
    ]
    let addresses = try texts.map { text in try SocketAddress(parsing: text) }
    #expect(Set(addresses).count == texts.count)
  }

  @Test func `an address takes 24 bytes, and an optional one no more`() {
    #expect(MemoryLayout<SocketAddress>.stride == 24)
    #expect(MemoryLayout<SocketAddress?>.stride == 24)
  }
}

// MARK: - Resolving

extension `Socket addresses` {
  @Test func `localhost resolves to loopback addresses with the port, none of them twice`() throws {
    let addresses = try SocketAddress.resolve("localhost:8080")
    #expect(!addresses.isEmpty)
    #expect(Set(addresses).count == addresses.count)
    #expect(
      Set(addresses).isSubset(of: [.loopback(port: 8080), .ipv6Loopback(port: 8080)]))
  }

  @Test func `a name without an address is refused with the resolver's words`() throws {
    // RFC 6761, section 6.4: no name server knows .invalid; without one the text is another.
    let error = try #require(
      throws: SocketAddressError.self
    ) { try SocketAddress.resolve("nobody.invalid:80") }
    let words = [EAI_NONAME, EAI_AGAIN, EAI_FAIL].map { String(cString: gai_strerror($0)) }
    let reasons = words.map {
      "looking up \"nobody.invalid\" failed, \($0); "
        + "check the name, or write an IP address, for example 127.0.0.1:80"
    }
    #expect(reasons.contains(error.reason))
    #expect(error.isLookUp)
  }

  @Test func `what looks like numerals is never looked up`() {
    let error = #expect(throws: SocketAddressError.self) { try SocketAddress.resolve("127.1:80") }
    #expect(error?.reason == Self.notIPv4("127.1"))
    #expect(error?.isLookUp == false)
  }
}

// MARK: - The kernel's form

extension `Socket addresses` {
  /// One of every family that this machine has; in a container that may be all but IPv6.
  static let kernelFamilies: [SocketAddress] = {
    let unix = try! SocketAddress.unix(path: "@fdnet-tests-\(getpid())")
    return [.loopback(port: 0), unix] + (hasIPv6 ? [.ipv6Loopback(port: 0)] : [])
  }()

  private static let hasIPv6: Bool = {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0, let list else { return false }
    defer { freeifaddrs(list) }
    return sequence(first: list.pointee, next: \.ifa_next?.pointee)
      .contains { $0.ifa_addr.map { Int32($0.pointee.sa_family) } == AF_INET6 }
  }()

  @Test(arguments: kernelFamilies)
  func `the kernel binds an address and reports the same one`(address: SocketAddress) throws {
    let fd = try listen(at: address)
    defer { close(fd) }
    let bound = try #require(SocketAddress.reading { bytes, length in local(fd, bytes, length) })
    #expect(bound.family == address.family)
    #expect(bound.port != 0)
    if address.port == nil { #expect(bound == address) }
    #expect(try SocketAddress(parsing: bound.description) == bound)

    // Connecting and accepting say the same of both ends.
    let client = socket(bound.domain, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(client) }
    #expect(bound.withSockAddr { connect(client, socketAddress($0), $1) } == 0)
    var server: Int32 = -1
    let peer = SocketAddress.reading { bytes, length in
      server = accept(fd, bytes.assumingMemoryBound(to: sockaddr.self), length)
      return server
    }
    defer { close(server) }
    #expect(server >= 0)
    #expect(peer == SocketAddress.reading { bytes, length in local(client, bytes, length) })
    #expect(peer?.family == address.family)
  }

  @Test(arguments: [50, 107, 108])
  func `the kernel binds a path and reports the same one`(bytes: Int) throws {
    var template = Array("/tmp/fdnet-XXXXXX".utf8CString)
    let directory = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer { rmdir(directory) }
    let path = directory + "/" + String(repeating: "p", count: bytes - directory.utf8.count - 1)
    defer { unlink(path) }

    // No text stands for 108 bytes, yet another program may have bound them.
    let address = try #require(
      bytes > 107 ? kernelForm(ofPath: path) : SocketAddress.unix(path: path))
    let fd = try listen(at: address)
    defer { close(fd) }
    let bound = SocketAddress.reading { bytes, length in local(fd, bytes, length) }
    #expect(bound == address)
    #expect(bound?.description == "unix:" + path)
    #expect(access(path, F_OK) == 0)
  }

  @Test func `a socket that was never bound has an address without a name`() throws {
    let fd = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(fd) }
    let address = try #require(SocketAddress.reading { bytes, length in local(fd, bytes, length) })
    #expect(address.family == .unix)
    #expect(address.description == "unix:")
    #expect(address.withSockAddr { $1 } == 2)
  }

  @Test func `a path that begins with @ is not described as an abstract name`() throws {
    let address = try #require(kernelForm(ofPath: "@a"))
    #expect(address.description == "unix:./@a")
  }

  @Test func `only a path that a file can have is a path to unlink`() throws {
    #expect(try SocketAddress.unix(path: "/run/é").unixPath == "/run/é")
    #expect(kernelForm(ofPath: "@a")?.unixPath == "@a")
    #expect(try SocketAddress.unix(path: "@a").unixPath == nil)
    #expect(SocketAddress.loopback(port: 1).unixPath == nil)
    let unnamed: [UInt8] = [UInt8(AF_UNIX), 0]
    #expect(SocketAddress(sockaddr: unnamed, length: 2)?.unixPath == nil)
    let latin1: [UInt8] = [UInt8(AF_UNIX), 0, UInt8(ascii: "/"), 0xE9]
    #expect(SocketAddress(sockaddr: latin1, length: 4)?.unixPath == nil)
    #expect(SocketAddress(sockaddr: latin1, length: 4)?.description == "unix:/\u{FFFD}")
  }

  @Test func `the error of the body passes through`() {
    #expect(throws: CancellationError.self) {
      try SocketAddress.loopback(port: 1).withSockAddr { _, _ in throw CancellationError() }
    }
  }

  @Test func `a failed call, a short address and another family are no address`() {
    #expect(SocketAddress.reading { _, _ in -EBADF } == nil)
    #expect(
      SocketAddress.reading { _, length in
        length.pointee = 0
        return 0
      } == nil)
    for address in [SocketAddress.loopback(port: 1), .ipv6Loopback(port: 1)] {
      #expect(address.withSockAddr { SocketAddress(sockaddr: $0, length: $1 - 1) } == nil)
    }
    let fd = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue), 0)
    defer { close(fd) }
    #expect(SocketAddress.reading { bytes, length in local(fd, bytes, length) } == nil)
  }

  @Test func `a sockaddr need not be aligned`() {
    let address = SocketAddress.ipv6Loopback(port: 80)
    let copy = address.withSockAddr { bytes, length in
      withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { buffer in
        let odd = buffer.baseAddress! + 1
        odd.copyMemory(from: bytes, byteCount: Int(length))
        return SocketAddress(sockaddr: odd, length: length)
      }
    }
    #expect(copy == address)
  }
}

/// A listening socket of the address's family; the caller closes it.
private func listen(at address: SocketAddress) throws -> Int32 {
  let fd = socket(address.domain, Int32(SOCK_STREAM.rawValue), 0)
  try #require(fd >= 0)
  try #require(address.withSockAddr { bind(fd, socketAddress($0), $1) } == 0)
  try #require(listen(fd, 1) == 0)
  return fd
}

private func local(
  _ fd: Int32, _ bytes: UnsafeMutableRawPointer, _ length: UnsafeMutablePointer<UInt32>
) -> Int32 {
  getsockname(fd, bytes.assumingMemoryBound(to: sockaddr.self), length)
}

private func socketAddress(_ bytes: UnsafeRawPointer) -> UnsafePointer<sockaddr> {
  bytes.assumingMemoryBound(to: sockaddr.self)
}

/// The address of a path as the kernel would report it, whatever the path is.
private func kernelForm(ofPath path: String) -> SocketAddress? {
  var form = sockaddr_un()
  form.sun_family = sa_family_t(AF_UNIX)
  withUnsafeMutableBytes(of: &form.sun_path) { $0.copyBytes(from: path.utf8) }
  return withUnsafeBytes(of: form) {
    SocketAddress(sockaddr: $0.baseAddress!, length: UInt32($0.count))
  }
}
