// The alphabets of RFC 9110 and 9112, and how far a run of one of them goes.

/// One byte of a message.
@inline(__always)
func byte(_ bytes: RawSpan, _ offset: Int) -> UInt8 {
  bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
}

enum Syntax {
  static var tab: UInt8 { 0x09 }
  static var lineFeed: UInt8 { 0x0a }
  static var carriageReturn: UInt8 { 0x0d }
  static var space: UInt8 { 0x20 }

  /// Characters of ASCII, a bit for each.
  typealias Characters = (UInt64, UInt64)

  /// tchar (RFC 9110, section 5.6.2).
  private static var tokens: Characters { (0x03ff_6cfa_0000_0000, 0x57ff_ffff_c7ff_fffe) }
  /// unreserved, sub-delims and the percent sign (RFC 3986, section 3.2.2).
  private static var nameCharacters: Characters { (0x2bff_7ff2_0000_0000, 0x47ff_fffe_87ff_fffe) }

  @inline(__always)
  private static func contains(_ characters: Characters, _ byte: UInt8) -> Bool {
    let word = byte < 64 ? characters.0 : characters.1
    return byte < 128 && (word >> UInt64(byte & 63)) & 1 != 0
  }

  @inline(__always)
  static func isToken(_ byte: UInt8) -> Bool { contains(tokens, byte) }

  /// Whether it may be in a host's name.
  @inline(__always)
  static func isNameCharacter(_ byte: UInt8) -> Bool { contains(nameCharacters, byte) }

  /// VCHAR, obs-text, space and tab: what may stand in a field's value (RFC 9110, section 5.5).
  @inline(__always)
  static func isFieldValue(_ byte: UInt8) -> Bool {
    byte >= 0x20 && byte != 0x7f || byte == tab
  }

  @inline(__always)
  static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

  /// The value of a hexadecimal digit, or nil.
  @inline(__always)
  static func hexDigit(_ byte: UInt8) -> UInt64? {
    if isDigit(byte) { return UInt64(byte &- 0x30) }
    let letter = (byte | 0x20) &- 0x61
    return letter < 6 ? UInt64(letter) + 10 : nil
  }

  /// An ASCII letter in lower case; any other byte as it is.
  @inline(__always)
  static func lowercased(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

  @inline(__always)
  private static func each(_ byte: UInt64) -> UInt64 { byte &* 0x0101_0101_0101_0101 }

  /// Eight bytes at a time: the high bit of each byte that is zero. Bits above the first may be
  /// wrong, so only "none" and the first mean something.
  @inline(__always)
  private static func zeros(_ word: UInt64) -> UInt64 { (word &- each(1)) & ~word & each(0x80) }

  /// The same of each byte below another, which is at most 0x80.
  @inline(__always)
  private static func below(_ limit: UInt64, _ word: UInt64) -> UInt64 {
    (word &- each(limit)) & ~word & each(0x80)
  }

  /// Eight bytes, the first of them lowest.
  @inline(__always)
  static func eight(_ bytes: RawSpan, _ offset: Int) -> UInt64 {
    UInt64(
      littleEndian: bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self))
  }

  /// The end of a run of token characters. Names are letters and hyphens, most of the time.
  @inline(__always)
  static func endOfToken(_ bytes: RawSpan, from start: Int) -> Int {
    var offset = start
    let end = bytes.byteCount
    while offset &+ 8 <= end {
      let word = eight(bytes, offset)
      let low = word & each(0x7f) | each(0x20)
      let letters = (low &+ each(0x80 - 0x61)) & ~(low &+ each(0x80 - 0x7b)) & ~word
      // Of hyphens every bit has to be right.
      let hyphens = word ^ each(0x2d)
      let noHyphens = (hyphens & each(0x7f)) &+ each(0x7f) | hyphens
      let others = ~letters & noHyphens & each(0x80)
      guard others != 0 else {
        offset &+= 8
        continue
      }
      offset &+= others.trailingZeroBitCount >> 3
      break
    }
    while offset < end, isToken(byte(bytes, offset)) { offset &+= 1 }
    return offset
  }

  /// The end of a run of visible ASCII (0x21 to 0x7e) without a number sign.
  @inline(__always)
  static func endOfTarget(_ bytes: RawSpan, from start: Int) -> Int {
    var offset = start
    let end = bytes.byteCount
    while offset &+ 8 <= end {
      let word = eight(bytes, offset)
      let strange = zeros(word ^ each(0x7f)) | zeros(word ^ each(0x23))
      let others = below(0x21, word) | strange | word & each(0x80)
      guard others == 0 else { return offset &+ others.trailingZeroBitCount >> 3 }
      offset &+= 8
    }
    while offset < end, 0x21..<0x7f ~= byte(bytes, offset), byte(bytes, offset) != 0x23 {
      offset &+= 1
    }
    return offset
  }

  /// The end of a run of bytes that may stand in a field's value.
  @inline(__always)
  static func endOfFieldValue(_ bytes: RawSpan, from start: Int) -> Int {
    var offset = start
    let end = bytes.byteCount
    while offset &+ 8 <= end {
      let word = eight(bytes, offset)
      let others = below(0x20, word) | zeros(word ^ each(0x7f))
      guard others != 0 else {
        offset &+= 8
        continue
      }
      offset &+= others.trailingZeroBitCount >> 3
      guard byte(bytes, offset) == tab else { return offset }
      offset &+= 1
    }
    while offset < end, isFieldValue(byte(bytes, offset)) { offset &+= 1 }
    return offset
  }

  /// Whether the bytes are this word in any case.
  ///
  /// - Parameter word: in lower case, without bytes that a letter's bit 5 would change.
  @inline(__always)
  static func matches(_ bytes: RawSpan, _ start: Int, _ word: StaticString) -> Bool {
    let letters = word.utf8Start
    for index in 0..<word.utf8CodeUnitCount {
      guard lowercased(byte(bytes, start &+ index)) == letters[index] else { return false }
    }
    return true
  }
}

extension RawSpan {
  /// Whether the bytes are this word in any case.
  ///
  /// - Parameter word: in lower case.
  package func isWord(_ word: StaticString) -> Bool {
    byteCount == word.utf8CodeUnitCount && Syntax.matches(self, 0, word)
  }
}
