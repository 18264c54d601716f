/// Inputs that are nearly another one, the same in every run.
struct Mutation {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  private static let words: [[UInt8]] = [
    "\r\n", "\n", "\r", " ", "\t", ":", ",", ";", "0", "5", "a", "\0", "\u{b}", "\"", "0\r\n\r\n",
    "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Connection: close\r\n",
    "Connection: keep-alive\r\n", "Host: a\r\n", "chunked", "HTTP/1.1", "HTTP/1.0", "GET ",
    "\r\n\r\n",
  ].map { Array($0.utf8) }

  /// SplitMix64.
  private mutating func next(below bound: Int) -> Int {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = (state ^ state >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return Int(truncatingIfNeeded: (mixed ^ mixed >> 31) >> 1) % bound
  }

  /// One to three changes of some bytes.
  mutating func of(_ bytes: [UInt8], among others: [[UInt8]]) -> [UInt8] {
    var bytes = bytes
    for _ in 0...next(below: 3) {
      let start = next(below: bytes.count + 1)
      let end = start + next(below: min(8, bytes.count - start) + 1)
      switch next(below: 6) {
      case 0: bytes.replaceSubrange(start..<end, with: Self.words[next(below: Self.words.count)])
      case 1: bytes.insert(contentsOf: Self.words[next(below: Self.words.count)], at: start)
      case 2: bytes.removeSubrange(start..<end)
      case 3: bytes.insert(contentsOf: bytes[start..<end], at: end)
      case 4 where start < bytes.count: bytes[start] = UInt8(next(below: 256))
      default: bytes = bytes[..<start] + others[next(below: others.count)].suffix(next(below: 40))
      }
    }
    return bytes
  }
}
