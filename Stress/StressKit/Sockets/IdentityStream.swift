/// What is read of a connection whose bytes are one word over and over, its identity, so that a byte
/// that belongs to another connection shows, and one that is lost too.
struct IdentityStream {
  /// Zero before the first word has come, which tells it unless it is known.
  private(set) var identity: UInt64
  /// How many bytes have come.
  private(set) var count = 0
  private var word: UInt64 = 0

  init(_ identity: UInt64 = 0) { self.identity = identity }

  /// - Parameter bytes: what has come.
  /// - Returns: the first word that is not the identity; nil if all are.
  mutating func firstWrong(in bytes: RawSpan) -> UInt64? {
    for index in bytes.byteOffsets {
      let byte = UInt64(bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self))
      let shift = UInt64(count % 8 * 8)
      word = shift == 0 ? byte : word | byte << shift
      count += 1
      guard shift == 56 else { continue }
      if identity == 0 { identity = word }
      if word != identity { return word }
    }
    return nil
  }
}
