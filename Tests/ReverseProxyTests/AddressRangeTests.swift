import FDNet
import Testing

@testable import ReverseProxy

@Suite("Ranges of addresses")
struct AddressRangeTests {
  static let belonging: [(range: String, inside: [String], outside: [String])] = [
    (
      "10.0.0.0/8", ["10.0.0.0:1", "10.255.255.255:0", "[::ffff:10.1.2.3]:80"],
      ["9.255.255.255:1", "11.0.0.0:1", "[::10.0.0.0]:1", "[a00::]:1"]
    ),
    ("192.0.2.128/25", ["192.0.2.128:1", "192.0.2.255:1"], ["192.0.2.127:1", "192.0.3.128:1"]),
    ("192.0.2.1", ["192.0.2.1:9"], ["192.0.2.0:9", "192.0.2.2:9"]),
    ("192.0.2.1/32", ["192.0.2.1:9"], ["192.0.2.0:9"]),
    ("0.0.0.0/0", ["0.0.0.0:1", "255.255.255.255:1", "[::ffff:1.2.3.4]:1"], ["[::1]:1"]),
    ("::/0", ["[::]:1", "[ffff::]:1"], ["1.2.3.4:1", "[::ffff:1.2.3.4]:1"]),
    ("fd00::/8", ["[fd00::]:1", "[fdff:ffff::1]:1"], ["[fc00::]:1", "[fe00::]:1", "10.0.0.1:1"]),
    ("2001:db8::/63", ["[2001:db8:0:1::]:1"], ["[2001:db8:0:2::]:1"]),
    ("2001:db8::/64", ["[2001:db8::ffff:0:0:1]:1"], ["[2001:db8:0:1::]:1"]),
    ("2001:db8::/65", ["[2001:db8::7fff:0:0:1]:1"], ["[2001:db8::8000:0:0:1]:1"]),
    ("::1", ["[::1]:1"], ["[::2]:1", "127.0.0.1:1"]),
    ("fe80::1", ["[fe80::1%1]:1", "[fe80::1]:1"], ["[fe80::2%1]:1"]),
    ("::ffff:10.0.0.0/104", ["10.2.3.4:1", "[::ffff:10.0.0.0]:1"], ["11.0.0.0:1"]),
    ("unix:", ["unix:/run/x", "unix:@x"], ["127.0.0.1:1", "[::1]:1"]),
  ]

  @Test("an address belongs by its leading bits", arguments: belonging)
  func belongs(range: String, inside: [String], outside: [String]) throws {
    let ranges = try AddressRanges([range])
    for text in inside { #expect(ranges.contains(try SocketAddress(parsing: text)), "\(text)") }
    for text in outside { #expect(!ranges.contains(try SocketAddress(parsing: text)), "\(text)") }
  }

  @Test("an address of any of several ranges belongs, and none belongs to none")
  func several() throws {
    let ranges = try AddressRanges(["10.0.0.0/8", "unix:", "fd00::/8"])
    for text in ["10.1.1.1:1", "unix:/x", "[fd00::1]:1"] {
      #expect(ranges.contains(try SocketAddress(parsing: text)))
      #expect(!AddressRanges().contains(try SocketAddress(parsing: text)))
    }
    #expect(!ranges.contains(try SocketAddress(parsing: "11.0.0.0:1")))
    #expect(AddressRanges().isEmpty && !ranges.isEmpty)
    #expect(try AddressRanges(["::ffff:10.0.0.0/104"]) == AddressRanges(["10.0.0.0/8"]))
  }

  static let wrong: [(text: String, reason: String)] = [
    ("10.0.0.1/8", "write 10.0.0.0/8, or 10.0.0.1 for this one address"),
    ("0.0.0.1/0", "write 0.0.0.0/0, or 0.0.0.1 for this one address"),
    ("fd00::1/8", "write fd00::/8, or fd00::1 for this one address"),
    ("::ffff:10.0.0.1/104", "write 10.0.0.0/8, or 10.0.0.1 for this one address"),
    ("::ffff:0.0.0.0/95", "bits set beyond the first 95"),
    ("10.0.0.0/33", "has 32 bits and not 33; write a number from 0 to 32"),
    ("fd00::/129", "has 128 bits and not 129; write a number from 0 to 128"),
    ("10.0.0.0/99999999999999999999", "write a number from 0 to 32"),
    ("10.0.0.0/", "\"\" is not a number of bits; write one from 0 to 32"),
    ("10.0.0.0/08", "\"08\" is not a number of bits"),
    ("10.0.0.0/+8", "\"+8\" is not a number of bits"),
    ("10.0.0.0/8/8", "\"8/8\" is not a number of bits"),
    ("10.0.0.0/255.0.0.0", "\"255.0.0.0\" is not a number of bits"),
    ("10.0/8", "\"10.0\" is not an IP address; write a range as 10.0.0.0/8"),
    ("010.0.0.0/8", "\"010.0.0.0\" is not an IP address"),
    ("10.0.0.0:80", "is not an IP address"), ("[::1]", "is not an IP address"),
    ("fe80::1%1", "is not an IP address"), ("localhost", "is not an IP address"),
    ("", "\"\" is not an IP address"), ("/8", "is not an IP address"),
    ("10.0.0.0/8 ", "is not a number of bits"), (" 10.0.0.0/8", "is not an IP address"),
    ("10.0.0.0/8,::1", "is not a number of bits"), ("10.0.0.1\0", "is not an IP address"),
    ("unix:/run/x", "is not an IP address"), ("unix", "is not an IP address"),
  ]

  @Test("what is no range is refused with what to write", arguments: wrong)
  func refuses(text: String, reason: String) {
    let error = #expect(throws: AddressRangeError.self) { try AddressRanges([text]) }
    let description = error?.description ?? ""
    #expect(description.contains(reason))
    #expect(description.hasPrefix("cannot read the address range \(text.debugDescription): "))
    #expect(!description.contains("\n"))
  }

  @Test("a refused range leaves the others as they were")
  func keepsTheOthers() throws {
    var ranges = try AddressRanges(["::1"])
    #expect(throws: AddressRangeError.self) { try ranges.insert("no") }
    #expect(try ranges == AddressRanges(["::1"]))
  }
}
