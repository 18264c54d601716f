public import Interleave

/// A few threads that do something to shared objects, and what must hold whatever their order is.
public struct ProofScenario: Sendable {
  /// As on the command line.
  public let name: String
  /// How many threads it has.
  public let threads: Int
  /// The memory models under which it belongs to the proof.
  public let models: [MemoryModel]
  /// Whether it takes longer than a test should.
  public let isLong: Bool
  /// Prepares one exploration: what it returns is called for each of its executions.
  private let prepare: @Sendable () -> (Setup) -> Void

  init(
    _ name: String, threads: Int, models: [MemoryModel] = ProofScenario.strongAndWeak,
    isLong: Bool? = nil, _ prepare: @escaping @Sendable () -> (Setup) -> Void
  ) {
    self.name = name
    self.threads = threads
    self.models = models
    self.isLong = isLong ?? (threads > 3)
    self.prepare = prepare
  }

  static let strongAndWeak: [MemoryModel] = [.sequentiallyConsistent, .c11]

  /// How far its proof goes: with two threads, one weak compare-and-swap of each may fail for no
  /// reason.
  ///
  /// - Parameter model: what loads may read.
  public func options(_ model: MemoryModel) -> Explorer.Options {
    var options = Explorer.Options(model: model)
    options.weakFailures = threads == 2 ? 1 : 0
    return options
  }

  /// Runs it in every order.
  ///
  /// - Parameter options: how far to go.
  public func explore(_ options: Explorer.Options) -> Report {
    Explorer.explore(options, prepare())
  }
}
