import FDDelays
import Glibc

/// Tasks on the threads of Swift's concurrency pool use a registry, a single flight and a cache as
/// hard as they can: with deadlines that pass, cancellations at any time, failures, functions that
/// ignore cancellation, and fewer places than keys. Nobody may wait longer than he asked to, and
/// nothing may be left.
public final class Coordination: StressScenario {
  /// As on the command line.
  public static let name = "coordination"
  /// What it does, in one line.
  public static let summary =
    "sessions, fetches and resources by key: deadlines, cancellations, failures, evictions"

  private let stage: Stage
  private let tasks: Ledger
  private let operations: Tally
  private let registry: RegistryLoad
  private let flight: FlightLoad
  private let cache: CacheLoad

  private static let tasksPerRole = 8

  /// The concurrency runtime opens what its timers need when a task sleeps for the first time.
  public static func prepareProcess() {
    let slept = Tally()
    Task.detached {
      try? await Task.sleep(for: .milliseconds(1))
      try? await Task.sleep(nanoseconds: 1_000_000)
      slept.add()
    }
    while slept.count == 0 { usleep(1_000) }
  }

  /// Makes the three; their users start with `begin`.
  public init(_ stage: Stage) throws {
    self.stage = stage
    tasks = stage.ledger("every task ends")
    operations = stage.count("operations")
    registry = RegistryLoad(stage)
    flight = FlightLoad(stage)
    cache = CacheLoad(stage)
  }

  /// Starts the tasks.
  public func begin() throws {
    start("agent", registry.serve)
    start("client", registry.look)
    start("caller", flight.ask)
    start("user", cache.use)
  }

  private func start(
    _ role: String, _ step: @escaping @Sendable (inout SplitMix) async -> Void
  ) {
    for number in 0..<Self.tasksPerRole {
      let (heartbeat, random) = (
        stage.heartbeat("\(role)-\(number)"), stage.random(for: "\(role)-\(number)")
      )
      tasks.open()
      Task.detached { [stage, tasks, operations] in
        var random = random
        while stage.isStormy {
          await step(&random)
          heartbeat.beat()
          operations.add()
        }
        tasks.close()
      }
    }
  }

  /// All tasks have ended.
  public func calm() {
    stage.wait(for: "\(tasks.live) tasks do not end") { tasks.live == 0 }
  }

  /// Nothing is left of what is over.
  public func audit() {
    registry.audit()
    flight.audit()
  }

  /// Ends registry and cache.
  public func end() {
    registry.end()
    cache.end()
  }
}
