/// Bytes that tell whose they are and where they stand, so that one that is lost, comes twice, or is
/// another's shows.
struct NumberedBody {
  let identity: UInt64
  let length: Int
  /// How many bytes of it have been made or looked at.
  private(set) var count = 0

  private static let step: UInt64 = 0x9E37_79B9_7F4A_7C15

  init(_ identity: UInt64, length: Int) {
    self.identity = identity
    self.length = length
  }

  private func byte(at offset: Int) -> UInt8 {
    let word = identity &+ UInt64(offset >> 3) &* Self.step
    return UInt8(truncatingIfNeeded: word >> (UInt64(offset & 7) * 8))
  }

  /// Makes the next bytes.
  mutating func append(_ most: Int, to bytes: inout [UInt8]) {
    let end = min(length, count + most)
    bytes.reserveCapacity(bytes.count + end - count)
    while count < end {
      bytes.append(byte(at: count))
      count += 1
    }
  }

  /// Looks at the next bytes.
  ///
  /// - Returns: whether they are these.
  mutating func has(_ bytes: RawSpan) -> Bool {
    guard bytes.byteCount <= length - count else { return false }
    for offset in bytes.byteOffsets {
      guard bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self) == byte(at: count) else {
        return false
      }
      count += 1
    }
    return true
  }

  var isComplete: Bool { count == length }
}

/// A sum of bytes in their order, by Fowler, Noll and Vo (FNV-1a).
struct Checksum {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func add(_ bytes: RawSpan) {
    for offset in bytes.byteOffsets {
      let byte = bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
      value = (value ^ UInt64(byte)) &* 0x100_0000_01B3
    }
  }
}
