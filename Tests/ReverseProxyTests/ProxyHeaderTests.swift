import FDNet
import TestKit
import Testing

@testable import ReverseProxy

@Suite("PROXY headers")
struct ProxyHeaderTests {
  /// What a load balancer sends, and from whom that is.
  struct Sample: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    /// An address as text, or nil.
    var source: String?
    var testDescription: String { name }
  }

  static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]

  static func v2(
    _ command: UInt8, _ kind: UInt8, _ body: [UInt8], length: Int? = nil
  ) -> [UInt8] {
    let length = length ?? body.count
    return signature + [command, kind, UInt8(length >> 8), UInt8(length & 255)] + body
  }

  static let tcp4: [UInt8] = [192, 0, 2, 1, 192, 0, 2, 2, 0xDC, 4, 1, 0xBB]
  static let tcp6: [UInt8] =
    [0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]
    + [0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 11) + [2] + [0xDC, 4, 1, 0xBB]

  static func unix(_ source: [UInt8]) -> [UInt8] {
    source + [UInt8](repeating: 0, count: 216 - source.count)
  }

  static func line(_ text: String) -> [UInt8] { Array(text.utf8) }

  static let good: [Sample] = [
    Sample(
      name: "TCP4", bytes: line("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"),
      source: "192.0.2.1:56324"),
    Sample(
      name: "TCP4, the longest",
      bytes: line("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
      source: "255.255.255.255:65535"),
    Sample(
      name: "TCP6", bytes: line("PROXY TCP6 2001:db8::1 2001:DB8::2 0 443\r\n"),
      source: "[2001:db8::1]:0"),
    Sample(
      name: "TCP6, the longest",
      bytes: line(
        "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
          + "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
      source: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
    Sample(name: "UNKNOWN", bytes: line("PROXY UNKNOWN\r\n")),
    Sample(
      name: "UNKNOWN, the longest",
      bytes: line(
        "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
          + "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n")),
    Sample(name: "v2 TCP4", bytes: v2(0x21, 0x11, tcp4), source: "192.0.2.1:56324"),
    Sample(name: "v2 TCP6", bytes: v2(0x21, 0x21, tcp6), source: "[2001:db8::1]:56324"),
    Sample(
      name: "v2 Unix path", bytes: v2(0x21, 0x31, unix(line("/run/client"))),
      source: "unix:/run/client"),
    Sample(
      name: "v2 Unix abstract", bytes: v2(0x21, 0x31, unix(line("\0name"))), source: "unix:@name"),
    Sample(name: "v2 Unix without a name", bytes: v2(0x21, 0x31, unix([])), source: "unix:"),
    Sample(name: "v2 LOCAL", bytes: v2(0x20, 0, [])),
    Sample(name: "v2 LOCAL with a rest of any kind", bytes: v2(0x20, 0xFF, [1, 2, 3, 4, 5])),
    Sample(name: "v2 unspecified", bytes: v2(0x21, 0, [])),
    Sample(name: "v2 unspecified, with a rest", bytes: v2(0x21, 0, [9, 9, 9, 9])),
    Sample(
      name: "v2 with fields", bytes: v2(0x21, 0x11, tcp4 + [4, 0, 0, 0xEA, 0, 3, 1, 2, 3]),
      source: "192.0.2.1:56324"),
    Sample(
      name: "v2, the longest taken",
      bytes: v2(0x21, 0x11, tcp4 + [4, 0xF, 0xE1] + [UInt8](repeating: 7, count: 0xFE1)),
      source: "192.0.2.1:56324"),
  ]

  static func verdict(_ bytes: [UInt8]) -> ProxyHeader.Verdict {
    ProxyHeader.read(bytes.span.bytes)
  }

  @Test("a good header is read, however it is cut, and nothing behind it is", arguments: good)
  func reads(sample: Sample) {
    for end in 0..<sample.bytes.count {
      guard Self.verdict(Array(sample.bytes[..<end])) == .incomplete else {
        Issue.record("decided after \(end) bytes: \(Self.verdict(Array(sample.bytes[..<end])))")
        return
      }
    }
    for rest in [[], line("GET / HTTP/1.1\r\n\r\n"), [0], Self.signature] {
      guard case .header(let count, let source) = Self.verdict(sample.bytes + rest) else {
        Issue.record("\(Self.verdict(sample.bytes + rest))")
        return
      }
      #expect(count == sample.bytes.count)
      #expect(source?.description == sample.source)
    }
  }

  private func line(_ text: String) -> [UInt8] { Self.line(text) }

  static let bad: [(bytes: [UInt8], reason: String)] =
    [
      ("GET / HTTP/1.1\r\n", "does not begin"), ("proxy TCP4", "does not begin"),
      ("PRX", "does not begin"), (" PROXY TCP4", "does not begin"), ("\r\nPROXY", "does not begin"),
      ("PROXY\r\n", "does not begin"), ("PROXY\tTCP4", "does not begin"),
      ("PROXY \r\n", "a kind of network"), ("PROXY  UNKNOWN\r\n", "a kind of network other than"),
      ("PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n", "a kind of network other than"),
      ("PROXY tcp4 1.1.1.1 1.1.1.1 1 1\r\n", "a kind of network other than"),
      ("PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n", "a kind of network other than"),
      ("PROXY UNKNOWNS\r\n", "a kind of network other than"),
      ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n", "no printable"),
      ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\r\n", "no printable"),
      ("PROXY TCP4 1.1.1.1\t1.1.1.1 1 1\r\n", "no printable"),
      ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\0\r\n", "no printable"),
      ("PROXY UNKNOWN \u{e9}\r\n", "no printable"), ("PROXY UNKNOWN \u{7f}\r\n", "no printable"),
      ("PROXY TCP4\r\n", "two addresses"), ("PROXY TCP4 1.1.1.1\r\n", "two addresses"),
      ("PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n", "two addresses"),
      ("PROXY TCP4 1.1.1.1  1.1.1.1 1 1\r\n", "two addresses"),
      ("PROXY TCP4 1.1.1.01 1.1.1.1 1 1\r\n", "two addresses"),
      ("PROXY TCP4 1.1.1.256 1.1.1.1 1 1\r\n", "two addresses"),
      ("PROXY TCP4 1.1.1 1.1.1.1 1 1\r\n", "two addresses"),
      ("PROXY TCP4 1.1.1.1 ::1 1 1\r\n", "two addresses"),
      ("PROXY TCP4 ::ffff:1.1.1.1 1.1.1.1 1 1\r\n", "two addresses"),
      ("PROXY TCP6 1.1.1.1 ::1 1 1\r\n", "two addresses"),
      ("PROXY TCP6 ::1%1 ::1 1 1\r\n", "two addresses"),
      ("PROXY TCP6 :::1 ::1 1 1\r\n", "two addresses"),
      ("PROXY TCP6 [::1] ::1 1 1\r\n", "two addresses"),
      ("PROXY TCP4 1.1.1.1 1.1.1.1\r\n", "two ports"),
      ("PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n", "two ports"),
      ("PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n", "two ports"),
      ("PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n", "two ports"),
      ("PROXY TCP4 1.1.1.1 1.1.1.1 +1 1\r\n", "two ports"),
      ("PROXY TCP4 1.1.1.1 1.1.1.1 1  1\r\n", "two ports"),
      ("PROXY TCP4 1.1.1.1 1.1.1.1 1 123456\r\n", "two ports"),
      ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n", "goes on"),
      ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n", "goes on"),
      ("PROXY UNKNOWN " + String(repeating: "x", count: 92) + "\r\n", "within 107 bytes"),
      ("PROXY UNKNOWN " + String(repeating: "x", count: 200), "within 107 bytes"),
    ].map { (Array($0.utf8), $1) } + [
      (signature + [0x11], "version 1;"), (signature + [0x31], "version 3;"),
      (signature + [0x22], "the command 2;"), (v2(0x2F, 0x11, tcp4), "the command 15;"),
      (signature.dropLast() + [11], "does not begin"),
      (v2(0x21, 0x12, tcp4), "the kind of network 0x12;"),
      (v2(0x21, 0x22, tcp6), "the kind of network 0x22;"),
      (v2(0x21, 0x32, unix([])), "the kind of network 0x32;"),
      (v2(0x21, 0x10, tcp4), "the kind of network 0x10;"),
      (v2(0x21, 0x41, tcp4), "the kind of network 0x41;"),
      (v2(0x21, 0x01, []), "the kind of network 0x1;"),
      (v2(0x21, 0x11, Array(tcp4.dropLast())), "too short"), (v2(0x21, 0x11, []), "too short"),
      (v2(0x21, 0x21, tcp4), "too short"), (v2(0x21, 0x31, tcp6), "too short"),
      (v2(0x21, 0x11, tcp4 + [4]), "within a field"),
      (v2(0x21, 0x11, tcp4 + [4, 0]), "within a field"),
      (v2(0x21, 0x11, tcp4 + [4, 0, 1]), "within a field"),
      (v2(0x21, 0x11, tcp4 + [4, 0xFF, 0xFF, 0, 0]), "within a field"),
      (v2(0x21, 0x11, [], length: 65535), "has 65551 bytes, and 4096 are the most here"),
      (v2(0x21, 0x11, [], length: 4081), "has 4097 bytes"),
      (v2(0x20, 0, [], length: 4081), "has 4097 bytes"),
    ]

  @Test("whatever is not exactly a header is a violation, and more bytes never mend it")
  func refuses() {
    for (bytes, reason) in Self.bad {
      let text = String(decoding: bytes, as: UTF8.self).debugDescription
      guard case .violation(let why) = Self.verdict(bytes) else {
        Issue.record("\(text): \(Self.verdict(bytes))")
        continue
      }
      #expect(why.contains(reason), "\(text)")
      // However it comes, it is never a header, and stays refused once it is.
      var isRefused = false
      for end in 0...bytes.count {
        switch Self.verdict(Array(bytes[..<end])) {
        case .incomplete where !isRefused: break
        case .violation: isRefused = true
        case let other: Issue.record("\(text) after \(end) bytes: \(other)")
        }
      }
    }
  }

  @Test("mutated headers crash nothing, and a header is never longer than what has come")
  func survivesMutations() {
    var random = SeededRandom(seed: 0x5052_4F58_59)
    for round in 0..<6000 {
      var bytes = Self.good[round % (Self.good.count - 1)].bytes
      for _ in 0...Int.random(in: 0..<3, using: &random) {
        let at = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
        default: if bytes.count > 1 { bytes.remove(at: at) }
        }
      }
      let end = Int.random(in: 0...bytes.count, using: &random)
      guard case .header(let count, _) = Self.verdict(Array(bytes[..<end])) else { continue }
      #expect(count <= end)
      // What has been decided does not depend on what follows, nor on bytes beyond the header.
      #expect(Self.verdict(Array(bytes[..<count])) == Self.verdict(bytes))
    }
  }
}
