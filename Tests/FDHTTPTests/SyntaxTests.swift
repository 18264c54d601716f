import Testing

@testable import FDHTTP

@Suite("Eight bytes at a time")
struct SyntaxTests {
  /// Bytes at the edges of the alphabets, and their neighbours.
  private static let edges: [UInt8] =
    Array("-,.a`zA@Z[{|}~:09 !#\"(_^/".utf8) + [
      0, 1, 9, 10, 13, 0x1f, 0x2c, 0x2e, 0x7e, 0x7f, 0x80, 0x81, 0xa0, 0xad, 0xe1, 0xff,
    ]

  @Test("a run ends where one that is looked at byte by byte does")
  func runs() {
    var state: UInt64 = 1
    func next(below bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    for round in 0..<40_000 {
      // Mostly one byte that goes on, so that runs reach over several words.
      let usual = Self.edges[next(below: Self.edges.count)]
      let bytes = (0..<next(below: 28)).map { _ in
        next(below: 6) > 0 ? usual : Self.edges[next(below: Self.edges.count)]
      }
      let start = next(below: bytes.count + 1)
      func end(_ isPart: (UInt8) -> Bool) -> Int {
        bytes[start...].firstIndex { !isPart($0) } ?? bytes.count
      }
      let span = bytes.span.bytes
      let token = Syntax.endOfToken(span, from: start)
      let target = Syntax.endOfTarget(span, from: start)
      let value = Syntax.endOfFieldValue(span, from: start)
      guard token == end(Syntax.isToken), value == end(Syntax.isFieldValue),
        target == end({ 0x21...0x7e ~= $0 && $0 != 0x23 })
      else {
        Issue.record("round \(round), from \(start): \(bytes)")
        return
      }
    }
  }

  @Test("tokens and the names of hosts are of the characters that their RFCs list")
  func characters() {
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
    for byte in UInt8.min...UInt8.max {
      #expect(Syntax.isToken(byte) == (letters + Array("!#$%&'*+-.^_`|~".utf8)).contains(byte))
      let isName = (letters + Array("-._~%!$&'()*+,;=".utf8)).contains(byte)
      #expect(Syntax.isNameCharacter(byte) == isName)
    }
  }
}
