/// One measurement of one contender.
struct Sample {
  /// Of the server, in user mode and in the kernel.
  var cpuMicroseconds: Double
  var perSecond: Double
  /// In microseconds.
  var p50, p99, p999: Double
  /// Idle connections in the proxy's pool, where that was asked for.
  var pooled: Int?
  /// Somebody else used the machine meanwhile, again and again.
  var isDisturbed: Bool
}

/// A figure of a sample.
enum Metric: String, CaseIterable {
  case cpu = "CPU us per request"
  case rate = "requests/s"
  case p50 = "p50 us"
  case p99 = "p99 us"
  case p999 = "p99.9 us"

  func value(of sample: Sample) -> Double {
    switch self {
    case .cpu: sample.cpuMicroseconds
    case .rate: sample.perSecond
    case .p50: sample.p50
    case .p99: sample.p99
    case .p999: sample.p999
    }
  }

  func text(_ value: Double) -> String {
    switch self {
    case .cpu: decimal(value, 2)
    case .rate: grouped(value)
    case .p50, .p99, .p999: decimal(value, value < 100 ? 1 : 0)
    }
  }
}
