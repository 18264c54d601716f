import FDPoller

/// One operation of the runtime, repeated on what was prepared before: for its time, and for the
/// instructions that it takes.
///
/// The repetitions are one function with a symbol that profilers find, which is never inlined, so
/// that callgrind counts them and nothing else.
public struct Workload: Sendable {
  /// The name, of words with dashes between them.
  public let name: String
  /// What one operation is.
  public let summary: String
  /// The function that does the repetitions, and nothing before or after them. Workloads that differ
  /// in what was prepared only have the same.
  public let symbol: String
  /// Why its instructions differ from run to run; nil if they do not, and belong to the budget.
  public let inexactness: String?
  private let begin: @Sendable () throws -> any Repetitions

  /// As many repetitions are made of one preparation at the most.
  public static let mostAtOnce = 1_000

  init(
    _ name: String, _ summary: String, symbol: String? = nil, inexactness: String? = nil,
    _ begin: @escaping @Sendable () throws -> any Repetitions
  ) {
    self.name = name
    self.summary = summary
    self.symbol = symbol ?? "workload_" + String(name.map { $0 == "-" ? "_" : $0 })
    self.inexactness = inexactness
    self.begin = begin
  }

  /// Makes everything that the operation needs. The result has to be ended.
  ///
  /// - Throws: what the poller refuses, or the kernel.
  public func prepared() throws -> any Repetitions { try begin() }

  /// Repeats the operation, once more for a start, which warms everything up.
  ///
  /// - Parameters:
  ///   - count: of repetitions in a round.
  ///   - rounds: that are measured, at least one.
  /// - Returns: nanoseconds for one operation, in each round.
  /// - Throws: what the poller refuses, or the kernel.
  public func measure(_ count: Int, rounds: Int) throws -> [Double] {
    let repetitions = try begin()
    defer { repetitions.end() }
    let times = (0...rounds).map { _ in
      var left = count
      var time = Duration.zero
      while left > 0 {
        let next = min(left, Self.mostAtOnce)
        repetitions.prepare(next)
        time += repetitions.run(next)
        left -= next
      }
      return time / .nanoseconds(count)
    }
    return Array(times.dropFirst())
  }
}

/// A workload that is ready. Used by one thread, which is no loop's.
public protocol Repetitions: AnyObject {
  /// Gets ready for that many repetitions. This is not measured.
  ///
  /// - Parameter count: 1 to `Workload.mostAtOnce`.
  func prepare(_ count: Int)

  /// Repeats the operation.
  ///
  /// - Parameter count: as it was given to `prepare` just before.
  /// - Returns: how long it took.
  func run(_ count: Int) -> Duration

  /// Puts everything away: the last call.
  func end()
}

extension Repetitions {
  /// Does nothing.
  public func prepare(_ count: Int) {}

  /// Does nothing.
  public func end() {}
}

/// How long the body takes.
@inline(__always)
func timed(_ body: () -> Void) -> Duration {
  let began = EventLoop.clock()
  body()
  return .nanoseconds(EventLoop.clock() - began)
}
