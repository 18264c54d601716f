/// What was not measured, by reason.
struct Absentees {
  private var reasons: [(reason: String, names: [String])] = []

  mutating func add(_ name: String, _ reason: String) {
    if let index = reasons.firstIndex(where: { $0.reason == reason }) {
      reasons[index].names.append(name)
    } else {
      reasons.append((reason, [name]))
    }
  }

  /// A paragraph for each reason.
  var text: String {
    reasons.map { "Left out, since \($0.reason): \($0.names.joined(separator: "; ")).\n\n" }
      .joined()
  }
}
