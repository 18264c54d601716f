/// A piece of work was not done by its deadline, and was cancelled.
public struct DeadlineExceeded: Error, Equatable, Sendable {
  /// How long it was given.
  public let duration: Duration
}

extension DeadlineExceeded: CustomStringConvertible {
  /// One line: what, and how long it had.
  public var description: String { "not done within \(duration), and cancelled" }
}

/// Does something that may take only so long: at the deadline it is cancelled.
///
/// The body runs in a child task of the caller's, on the caller's executor, and is always waited
/// for: what ignores its cancellation delays the return. If it succeeds in spite of it, its result
/// is returned, so that nothing it has made is lost.
///
/// - Parameters:
///   - duration: from now on.
///   - isolation: where the body runs: the caller's actor, if it has one.
///   - body: what to do. Every wait of a connection, a sleep on a loop, and whatever else heeds a
///     task's cancellation ends when the time is up.
/// - Returns: what the body returns.
/// - Throws: `DeadlineExceeded` if the body throws after the deadline; otherwise what it throws;
///   `CancellationError` or what the body makes of it if the calling task is cancelled.
public func withDeadline<Result>(
  _ duration: Duration, isolation: isolated (any Actor)? = #isolation,
  _ body: nonisolated(nonsending) @escaping () async throws -> Result
) async throws -> Result {
  // The caller is suspended while the child runs, so the two never touch the same at once.
  let work = Work(body: body)
  let isInTime = await withTaskGroup(of: Bool.self) { group in
    group.addTask {
      await work.run(isolation: isolation)
      return true
    }
    group.addTask {
      // Of a sleep that is cancelled nothing follows.
      (try? await EventLoop.sleepHere(for: duration)) == nil
    }
    let isInTime = await group.next() ?? true
    group.cancelAll()
    return isInTime
  }
  switch work.result {
  case .success(let value)?: return value
  case .failure(let error)?: throw isInTime ? error : DeadlineExceeded(duration: duration)
  case nil: preconditionFailure("a group waits for its children")
  }
}

extension EventLoop {
  /// Sleeps by the timers of the loop whose thread this is, or by the runtime's.
  fileprivate nonisolated(nonsending) static func sleepHere(for duration: Duration) async throws {
    guard let loop = current else { return try await Task.sleep(for: duration) }
    let end = ContinuousClock.now + duration
    do {
      try await loop.sleep(for: duration)
    } catch is PollerError {
      // The end of the loop is no deadline.
      try await Task.sleep(until: end, clock: .continuous)
    }
  }
}

/// What the child task does for its parent, whose closure need not be sendable.
private final class Work<Result>: @unchecked Sendable {
  private let body: nonisolated(nonsending) () async throws -> Result
  private(set) var result: Swift.Result<Result, any Error>?

  init(body: nonisolated(nonsending) @escaping () async throws -> Result) { self.body = body }

  func run(isolation: isolated (any Actor)?) async {
    do {
      result = .success(try await body())
    } catch {
      result = .failure(error)
    }
  }
}
