import CShims
import Glibc

/// Runs a poller for as long as the body does.
///
/// When the body has returned or thrown, the poller is stopped: every descriptor that is left is
/// closed, which ends the waits of the tasks that use them. Tasks that the body has not waited for
/// are given until then; what they do afterwards they do without a poller.
///
/// - Parameters:
///   - configuration: of the poller.
///   - stopDeadline: how long the stop may take; see `Poller.stop`.
///   - body: gets the poller, started. It runs where the caller does.
/// - Returns: what the body returns.
/// - Throws: what the body throws, or else `PollerError` if the poller cannot be made, started or
///   stopped.
public nonisolated(nonsending) func withPoller<Result>(
  _ configuration: PollerConfiguration, stopDeadline: Duration = .seconds(30),
  _ body: nonisolated(nonsending) (Poller) async throws -> Result
) async throws -> Result {
  let poller = try Poller(configuration)
  try poller.start()
  let result: Result
  do {
    result = try await body(poller)
  } catch {
    // The first error is the one that explains.
    try? await poller.shutdown(deadline: stopDeadline)
    throw error
  }
  try await poller.shutdown(deadline: stopDeadline)
  return result
}

/// As `withPoller(_:stopDeadline:_:)`, for a poller that is as usual save for its threads.
///
/// - Parameters:
///   - threads: how many loops.
///   - body: gets the poller, started.
/// - Returns: what the body returns.
/// - Throws: what the body throws, or `PollerError`.
public nonisolated(nonsending) func withPoller<Result>(
  threads: Int, _ body: nonisolated(nonsending) (Poller) async throws -> Result
) async throws -> Result {
  try await withPoller(PollerConfiguration(threads: threads), body)
}

extension Poller {
  /// As `stop(deadline:)`, without blocking a thread of the caller's. Not callable from a task that
  /// runs on one of the poller's loops.
  ///
  /// - Parameter deadline: how long to wait for handlers and tasks that are still running.
  /// - Throws: what `stop` throws.
  public func shutdown(deadline: Duration = .seconds(30)) async throws(PollerError) {
    precondition(
      EventLoop.current.map { $0.core !== core } ?? true, "a loop cannot wait for its own end")
    let result = await withUnsafeContinuation { continuation in
      // A stop blocks, and the threads of Swift's own pool are few.
      Stopper(poller: self, deadline: deadline, continuation).start()
    }
    try result.get()
  }
}

/// A thread that stops a poller.
private final class Stopper {
  typealias Outcome = Result<Void, PollerError>

  private let poller: Poller
  private let deadline: Duration
  private let continuation: UnsafeContinuation<Outcome, Never>

  init(
    poller: Poller, deadline: Duration, _ continuation: UnsafeContinuation<Outcome, Never>
  ) {
    self.poller = poller
    self.deadline = deadline
    self.continuation = continuation
  }

  func start() {
    var thread = pthread_t()
    let context = Unmanaged.passRetained(self)
    let result = fdp_thread_start(
      &thread, "fd-shutdown",
      { context in
        Unmanaged<Stopper>.fromOpaque(context.unsafelyUnwrapped).takeRetainedValue().stop()
      }, context.toOpaque())
    if result == 0 {
      pthread_detach(thread)
    } else {
      context.release()
      stop()
    }
  }

  private func stop() {
    continuation.resume(
      returning: Outcome { () throws(PollerError) in
        try poller.stop(deadline: deadline)
      })
  }
}
