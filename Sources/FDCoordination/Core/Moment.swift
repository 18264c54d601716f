/// A point in time as a primitive's clock has it: nanoseconds since the primitive was made.
package struct Moment: Hashable, Comparable, Sendable {
  package let nanoseconds: Int64

  package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// When the primitive was made.
  package static let beginning = Moment(nanoseconds: 0)

  package static func < (one: Moment, other: Moment) -> Bool {
    one.nanoseconds < other.nanoseconds
  }

  /// What is too far away is as far as it can be.
  package static func + (moment: Moment, duration: Duration) -> Moment {
    let (sum, isTooMuch) = moment.nanoseconds.addingReportingOverflow(nanoseconds(in: duration))
    return Moment(nanoseconds: isTooMuch ? (duration < .zero ? .min : .max) : sum)
  }

  package static func - (later: Moment, earlier: Moment) -> Duration {
    .nanoseconds(later.nanoseconds.subtractingReportingOverflow(earlier.nanoseconds).partialValue)
  }

  private static func nanoseconds(in duration: Duration) -> Int64 {
    let (seconds, attoseconds) = duration.components
    let (whole, isTooMuch) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    guard !isTooMuch else { return seconds < 0 ? .min : .max }
    let (sum, overflows) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
    return overflows ? (seconds < 0 ? .min : .max) : sum
  }
}

extension Duration {
  /// As an error tells people how long somebody has waited: `1.25 s`.
  var brief: String {
    let milliseconds = Int64(self / .milliseconds(1))
    if milliseconds < 1_000 { return "\(milliseconds) ms" }
    let hundredths = milliseconds % 1_000 / 10
    return "\(milliseconds / 1_000).\(hundredths < 10 ? "0" : "")\(hundredths) s"
  }
}
