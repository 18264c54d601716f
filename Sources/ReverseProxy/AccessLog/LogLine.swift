import FDNet
import Glibc

/// One line in the making, in memory of its own. There is always room: a field that comes from
/// outside is cut at `longestField` bytes, and a line has few of them.
///
/// What comes from outside cannot look like anything else: only printable ASCII is written as it is,
/// without quotes and backslashes. So a line has one line break, and its quotes are its own.
///
/// Used by one thread; allocates only when it is made.
struct LogLine: ~Copyable {
  /// How what is not printable is written, and quotes and backslashes.
  enum Escaping {
    /// `\x0A`
    case hexadecimal
    /// `\u000A`, `\"` and `\\` (RFC 8259, section 7). A byte above 127 is written as the character of
    /// that number, whatever it was meant to be, so the bytes can be told from the text.
    case json

    @inline(__always)
    var longest: Int { self == .json ? 6 : 4 }
  }

  /// Longer ones end there, with `...` after it.
  static let longestField = 4096
  /// For all that comes from outside, each byte as an escape, and for the rest.
  private static let capacity = 8 * (6 * longestField + 3) + 4096

  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 1)
  private var count = 0

  /// Made for every second anew.
  private var stamp: [UInt8] = []
  private var stampSecond = Int.min

  init() { stamp.reserveCapacity(64) }

  deinit { memory.deallocate() }

  mutating func clear() { count = 0 }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

  @inline(__always)
  private func checkRoom(for more: Int) {
    precondition(more <= memory.count - count, "a line of the access log has room for its fields")
  }

  mutating func put(_ text: StaticString) {
    put(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  private mutating func put(_ bytes: UnsafeRawBufferPointer) {
    checkRoom(for: bytes.count)
    UnsafeMutableRawBufferPointer(rebasing: memory[count...]).copyMemory(from: bytes)
    count += bytes.count
  }

  mutating func put(_ number: UInt64, digits: Int = 1) {
    var length = 1
    var rest = number / 10
    while rest > 0 { (length, rest) = (length + 1, rest / 10) }
    length = max(length, digits)
    checkRoom(for: length)
    rest = number
    for position in stride(from: count + length - 1, through: count, by: -1) {
      memory[position] = UInt8(ascii: "0") + UInt8(rest % 10)
      rest /= 10
    }
    count += length
  }

  /// In milliseconds, to the microsecond.
  mutating func putMilliseconds(nanoseconds: UInt64) {
    put(nanoseconds / 1_000_000)
    put(".")
    put(nanoseconds / 1000 % 1000, digits: 3)
  }

  /// The IP address, or `unix:`.
  mutating func put(_ address: SocketAddress) {
    guard let ip = address.ipAddress else { return put("unix:") }
    checkRoom(for: IPAddress.maximumTextBytes)
    count += ip.write(to: UnsafeMutableRawBufferPointer(rebasing: memory[count...]))
  }
}

// MARK: - What comes from outside

extension LogLine {
  mutating func put(_ bytes: RawSpan, _ escaping: Escaping) {
    bytes.withUnsafeBytes { put($0, escaping) }
  }

  mutating func put(_ text: String, _ escaping: Escaping) {
    let isContiguous: Void? = text.utf8.withContiguousStorageIfAvailable {
      put(UnsafeRawBufferPointer($0), escaping)
    }
    assert(isContiguous != nil, "a string of Swift's own is contiguous")
  }

  private mutating func put(_ bytes: UnsafeRawBufferPointer, _ escaping: Escaping) {
    let taken = min(bytes.count, Self.longestField)
    checkRoom(for: taken * escaping.longest + 3)
    for byte in bytes[..<taken] {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): putQuoted(byte, escaping)
      case 0x20...0x7E: putUnchecked(byte)
      default: putNumber(byte, escaping)
      }
    }
    if taken < bytes.count { put("...") }
  }

  @inline(__always)
  private mutating func putUnchecked(_ byte: UInt8) {
    memory[count] = byte
    count += 1
  }

  private mutating func putQuoted(_ byte: UInt8, _ escaping: Escaping) {
    // In the combined format a quote is a quote's end for many a reader, whatever is before it.
    guard escaping == .json else { return putNumber(byte, escaping) }
    putUnchecked(UInt8(ascii: "\\"))
    putUnchecked(byte)
  }

  private mutating func putNumber(_ byte: UInt8, _ escaping: Escaping) {
    put(escaping == .json ? "\\u00" : "\\x")
    putDigit(byte >> 4)
    putDigit(byte & 0xF)
  }

  private mutating func putDigit(_ digit: UInt8) {
    putUnchecked(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "A") + digit - 10)
  }
}

// MARK: - The time of day

extension LogLine {
  /// - Parameters:
  ///   - second: since 1970, UTC.
  ///   - format: of strftime(3).
  mutating func putTime(_ second: Int, _ format: String) {
    if second != stampSecond {
      stampSecond = second
      stamp.removeAll(keepingCapacity: true)
      var time = tm()
      var clock = time_t(second)
      gmtime_r(&clock, &time)
      withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
        // In the C locale, since nobody calls setlocale(3).
        let length = strftime(buffer.baseAddress!, buffer.count, format, &time)
        for index in 0..<length { stamp.append(UInt8(bitPattern: buffer[index])) }
      }
    }
    checkRoom(for: stamp.count)
    for byte in stamp { putUnchecked(byte) }
  }
}
