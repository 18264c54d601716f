/// Where server and client run.
enum Placement: String {
  /// Both on the first core, the backend of a proxy on the other: the least noise.
  case sameCore = "same core"
  /// The server has a core for itself.
  case otherCore = "client on the other core"
  /// All on both cores, as the kernel likes.
  case bothCores = "both cores"

  var server: Cores { self == .bothCores ? .both : .first }

  var client: Cores {
    switch self {
    case .sameCore: .first
    case .otherCore: .other
    case .bothCores: .both
    }
  }

  var backend: Cores { self == .bothCores ? .both : .other }
}

/// A subject under a load.
struct Contender {
  let subject: Subject
  var load: Load
  var placement: Placement
  /// Its place on the axis of a curve.
  var x: Double?
  /// So many servers behind a proxy.
  var backends = 1
  /// Requests at a time, before the measurement, that fill a proxy's pool.
  var fill: Int?

  var id: String { subject.id + (x.map { "@\(Int($0))" } ?? "") }

  var name: String { subject.label + (x.map { " (\(grouped($0)))" } ?? "") }
}

/// Contenders that are measured in turn, round by round.
struct Comparison {
  let id: String
  let title: String
  /// What the figures mean, if that is not plain.
  var note: String?
  var contenders: [Contender]
  /// The name of the axis, if the contenders make curves.
  var axis: String?
}

/// What was measured of a contender.
struct Outcome {
  let contender: Contender
  var samples: [Sample] = []
  var systemCalls: Double?
  /// Why there are no samples.
  var failure: String?

  func series(_ metric: Metric) -> Series? { Series(samples.map(metric.value(of:))) }

  var disturbed: Int { samples.count { $0.isDisturbed } }
}

struct ComparisonResult {
  let comparison: Comparison
  var outcomes: [Outcome]

  func outcome(_ id: String) -> Outcome? { outcomes.first { $0.contender.id == id } }
}
