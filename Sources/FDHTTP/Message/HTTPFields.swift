/// The fields of a head or a trailer section.
public struct HTTPFields: ~Escapable {
  let bytes: RawSpan
  private let fields: UnsafePointer<HTTPField>
  /// How many there are.
  public let count: Int

  @_lifetime(copy bytes)
  init(_ bytes: RawSpan, _ reader: HTTPHeadReader) {
    precondition(bytes.byteCount >= reader.end, "bytes other than those that were read")
    self.bytes = bytes
    fields = UnsafePointer(reader.fields)
    count = reader.count
  }

  /// Which field it is.
  public func name(at index: Int) -> HTTPFieldName { self[index].name }

  /// The name as it was sent.
  @_lifetime(copy self)
  public func nameBytes(at index: Int) -> RawSpan {
    let field = self[index]
    return bytes.extracting(Int(field.nameStart)..<Int(field.nameStart) + Int(field.nameCount))
  }

  /// The value without the white space around it.
  @_lifetime(copy self)
  public func value(at index: Int) -> RawSpan { bytes.extracting(self[index].value) }

  /// Whether it concerns this connection only: by its name, or because Connection names it.
  public func isHopByHop(at index: Int) -> Bool {
    self[index].name.isHopByHop || self[index].isNominated
  }

  /// The first field of a name.
  public func firstIndex(of name: HTTPFieldName) -> Int? {
    for index in 0..<count where fields[index].name == name { return index }
    return nil
  }

  /// The first field with a name that is not among the known ones.
  ///
  /// - Parameter name: in lower case.
  public func firstIndex(named name: StaticString) -> Int? {
    for index in 0..<count where nameBytes(at: index).isWord(name) { return index }
    return nil
  }

  /// The bytes of the whole line if it is written as usual: a space at most behind the colon, none
  /// behind the value. Nil otherwise.
  func line(at index: Int) -> Range<Int>? {
    let field = self[index]
    let nameEnd = field.nameStart &+ field.nameCount
    let valueEnd = Int(field.valueStart) &+ Int(field.valueCount)
    guard field.valueStart &- nameEnd <= 2, byte(bytes, valueEnd) == Syntax.carriageReturn else {
      return nil
    }
    return Int(field.nameStart)..<valueEnd &+ 2
  }

  private subscript(index: Int) -> HTTPField {
    precondition(index >= 0 && index < count, "a field beyond the last")
    return fields[index]
  }
}
