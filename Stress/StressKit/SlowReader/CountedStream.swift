/// A stream of words that are numbered, so that one that is lost, comes twice, or belongs to another
/// connection shows. The first one tells whose it is, the second one how many they are.
struct CountedStream {
  /// Zero before it is known.
  private(set) var identity: UInt64 = 0
  /// Zero before it is known.
  private(set) var total = 0
  /// How many whole words have come.
  private(set) var count = 0
  private var word: UInt64 = 0
  private var partialBytes = 0

  /// The word of that number.
  static func word(_ number: Int, of identity: UInt64, total: Int) -> UInt64 {
    switch number {
    case 0: identity
    case 1: UInt64(total)
    default: identity << 32 | UInt64(number)
    }
  }

  /// Whether all has come that was announced.
  var isComplete: Bool { count >= 2 && count == total && partialBytes == 0 }

  /// - Parameter bytes: what has come.
  /// - Returns: what is wrong with them; nil if nothing is.
  mutating func fault(in bytes: RawSpan) -> String? {
    for index in bytes.byteOffsets {
      let byte = UInt64(bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self))
      word |= byte << UInt64(partialBytes * 8)
      partialBytes += 1
      guard partialBytes == 8 else { continue }
      if let fault = take(word) { return fault }
      (word, partialBytes) = (0, 0)
    }
    return nil
  }

  private mutating func take(_ word: UInt64) -> String? {
    switch count {
    case 0: identity = word
    case 1: total = Int(truncatingIfNeeded: word)
    default:
      guard count < total, word == Self.word(count, of: identity, total: total) else {
        return "word \(count) of \(total) of connection \(identity) is word "
          + "\(word & 0xFFFF_FFFF) of connection \(word >> 32)"
      }
    }
    count += 1
    return nil
  }
}
