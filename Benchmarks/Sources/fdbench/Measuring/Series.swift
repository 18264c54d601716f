/// The values of one figure, a value per round. There is at least one.
struct Series: Equatable {
  let values: [Double]

  init?(_ values: [Double]) {
    guard !values.isEmpty else { return nil }
    self.values = values
  }

  var minimum: Double { values.min().unsafelyUnwrapped }
  var maximum: Double { values.max().unsafelyUnwrapped }

  /// The middle one; of an even number, the mean of the two in the middle.
  var median: Double {
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }

  /// Round by round: what drifts from round to round drops out.
  func divided(by other: Series) -> Series? {
    Series(zip(values, other.values).filter { $0.1 > 0 }.map { $0.0 / $0.1 })
  }
}

/// A number with so many digits after the point.
func decimal(_ value: Double, _ digits: Int) -> String {
  guard value.isFinite, abs(value) < 1e15 else { return "-" }
  var scale = 1.0
  for _ in 0..<digits { scale *= 10 }
  let scaled = Int((abs(value) * scale).rounded())
  let sign = value < 0 && scaled > 0 ? "-" : ""
  guard digits > 0 else { return sign + "\(scaled)" }
  let text = String(scaled)
  let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
  return sign + padded.dropLast(digits) + "." + padded.suffix(digits)
}

/// A whole number with commas between its thousands.
func grouped(_ value: Double) -> String {
  let digits = decimal(value.rounded(), 0)
  guard !digits.hasPrefix("-") else { return "-" + grouped(-value) }
  var text = ""
  for (index, digit) in digits.enumerated() {
    if index > 0 && (digits.count - index) % 3 == 0 { text += "," }
    text.append(digit)
  }
  return text
}
