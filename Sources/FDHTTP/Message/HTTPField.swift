/// Where a field is: offsets into the message's bytes.
struct HTTPField {
  var nameStart: UInt32
  var nameCount: UInt32
  var valueStart: UInt32
  var valueCount: UInt32
  var name: HTTPFieldName
  /// Connection names it: it is not passed on.
  var isNominated = false

  var value: Range<Int> { Int(valueStart)..<Int(valueStart) + Int(valueCount) }
}
