package import FDNet
import Glibc

/// Where a loop puts together what it sends: heads, small bodies, and the frames of chunks.
///
/// One for each loop, used on its thread only. It grows to what the largest message needs and is
/// kept, so that writing a head allocates nothing.
public final class HTTPOutput {
  // Its loop's thread alone writes, and calls nobody while it does.
  @exclusivity(unchecked) private var memory: UnsafeMutableRawBufferPointer
  /// How many bytes are in it.
  @exclusivity(unchecked) public private(set) var count = 0

  package init(capacity: Int) {
    memory = .allocate(byteCount: capacity, alignment: 64)
  }

  deinit { memory.deallocate() }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

  package func removeAll() { count = 0 }

  /// Writes what is in it to a connection, and keeps it.
  package func write(to connection: Connection) -> WriteResult { connection.write(bytes) }

  /// Adds what is in it to an array.
  package func copy(to array: inout [UInt8]) { array.append(contentsOf: bytes) }

  /// Makes room and returns where to write.
  @inline(__always)
  private func room(for more: Int) -> UnsafeMutableRawPointer {
    if count &+ more > memory.count { grow(by: more) }
    return memory.baseAddress.unsafelyUnwrapped + count
  }

  @inline(never)
  private func grow(by more: Int) {
    let larger = UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(memory.count * 2, count + more), alignment: 64)
    larger.copyMemory(from: bytes)
    memory.deallocate()
    memory = larger
  }

  // MARK: Appending

  /// Adds bytes as they are.
  public func append(_ bytes: RawSpan) {
    let destination = room(for: bytes.byteCount)
    bytes.withUnsafeBytes {
      if let source = $0.baseAddress { memcpy(destination, source, $0.count) }
    }
    count &+= bytes.byteCount
  }

  /// Adds text as it is.
  @inline(__always)
  public func append(_ text: StaticString) {
    memcpy(room(for: text.utf8CodeUnitCount), text.utf8Start, text.utf8CodeUnitCount)
    count &+= text.utf8CodeUnitCount
  }

  // A literal is a StaticString wherever it can be: its length is known when it is compiled.

  /// Adds text as it is, in UTF-8.
  @_disfavoredOverload
  public func append(_ text: String) {
    append(text.utf8Span.span.bytes)
  }

  func append(byte: UInt8) {
    room(for: 1).storeBytes(of: byte, as: UInt8.self)
    count &+= 1
  }

  /// Adds a number in decimal digits.
  public func append(decimal number: UInt64) {
    let destination = room(for: 20)
    var digits = 1
    var bound: UInt64 = 10
    while number >= bound && digits < 20 {
      digits &+= 1
      bound = bound &* 10
    }
    var rest = number
    var index = digits
    while index > 0 {
      index &-= 1
      let digit = UInt8(truncatingIfNeeded: rest % 10) &+ 0x30
      destination.storeBytes(of: digit, toByteOffset: index, as: UInt8.self)
      rest /= 10
    }
    count &+= digits
  }

  /// Adds a number in hexadecimal digits, in lower case.
  package func append(hexadecimal number: UInt64) {
    let digits = max(1, (67 - number.leadingZeroBitCount) / 4)
    let destination = room(for: 16)
    for index in 0..<digits {
      let digit = UInt8(truncatingIfNeeded: number >> UInt64(4 * (digits - 1 - index))) & 15
      destination.storeBytes(
        of: digit < 10 ? digit + 0x30 : digit + 0x57, toByteOffset: index, as: UInt8.self)
    }
    count &+= digits
  }

  // MARK: Fields

  /// Adds a field.
  ///
  /// - Parameters:
  ///   - name: a token.
  ///   - value: without control characters: a line break in it would end the field, so it traps.
  public func field(_ name: StaticString, _ value: StaticString) {
    append(name)
    append(": ")
    append(value)
    append("\r\n")
  }

  /// As `field(_:_:)`.
  @_disfavoredOverload
  public func field(_ name: StaticString, _ value: String) {
    field(name, value.utf8Span.span.bytes)
  }

  /// As `field(_:_:)`.
  public func field(_ name: StaticString, _ value: RawSpan) {
    precondition(
      Syntax.endOfFieldValue(value, from: 0) == value.byteCount,
      "a field's value has no control characters")
    append(name)
    append(": ")
    append(value)
    append("\r\n")
  }

  /// Adds a field whose value is a number.
  public func field(_ name: StaticString, _ value: UInt64) {
    append(name)
    append(": ")
    append(decimal: value)
    append("\r\n")
  }

  /// Adds fields as they came: those that stand beside each other in one piece.
  ///
  /// - Parameter keeps: whether the field at an index is among them.
  package func append(_ fields: borrowing HTTPFields, where keeps: (Int) -> Bool) {
    var run = 0..<0
    for index in 0..<fields.count where keeps(index) {
      guard let line = fields.line(at: index) else {
        append(fields.bytes, run)
        run = 0..<0
        field(fields, at: index)
        continue
      }
      if line.lowerBound == run.upperBound {
        run = run.lowerBound..<line.upperBound
      } else {
        append(fields.bytes, run)
        run = line
      }
    }
    append(fields.bytes, run)
  }

  @inline(__always)
  private func append(_ bytes: borrowing RawSpan, _ range: Range<Int>) {
    if !range.isEmpty { append(bytes.extracting(range)) }
  }

  /// Adds a field as it came.
  package func field(_ fields: borrowing HTTPFields, at index: Int) {
    append(fields.nameBytes(at: index))
    append(": ")
    append(fields.value(at: index))
    append("\r\n")
  }

  package func statusLine(_ status: HTTPStatus) {
    append("HTTP/1.1 ")
    append(decimal: UInt64(status.rawValue))
    append(byte: Syntax.space)
    append(status.phrase)
    append("\r\n")
  }
}
