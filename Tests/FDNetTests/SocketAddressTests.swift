import CShims
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
