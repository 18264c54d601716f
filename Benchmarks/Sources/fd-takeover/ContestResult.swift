/// How long each of them took.
struct ContestResult: Sendable {
  let seizures: [Duration]
  let takeovers: [Duration]
  let connects: [Duration]
  let rounds: [Duration]

  /// A line: counts, medians and 99th percentiles in microseconds.
  var json: String {
    let takeovers = takeovers.sorted()
    let connects = connects.sorted()
    return """
      {"takeovers":\(takeovers.count),"usable":\(quantile(0.5, seizures.sorted())),\
      "takeover":\(quantile(0.5, takeovers)),\
      "takeover_p99":\(quantile(0.99, takeovers)),"round":\(quantile(0.5, rounds.sorted())),\
      "connects":\(connects.count),"connect":\(quantile(0.5, connects)),\
      "connect_p99":\(quantile(0.99, connects))}
      """
  }

  private func quantile(_ share: Double, _ sorted: [Duration]) -> Double {
    let value = sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))]
    return (value / .nanoseconds(1)).rounded() / 1_000
  }
}
