public import FDAsync
import FDPoller
public import Logging
public import ServiceLifecycle

/// A listener and what serves its clients, as a service: at a graceful shutdown it takes no more
/// clients, lets those that are there finish, and cancels the tasks of those that do not in time.
///
/// Callable from any thread.
public final class AsyncServer: Service {
  /// How long clients may take after a graceful shutdown.
  public let drainDeadline: Duration
  private let listener: AsyncListener
  private let logger: Logger
  private let body: nonisolated(nonsending) @Sendable (AsyncConnection) async throws -> Void
  private let shutdowns: AsyncStream<Duration>
  private let requests: AsyncStream<Duration>.Continuation
  private let endings: AsyncStream<Never>
  private let end: AsyncStream<Never>.Continuation

  /// - Parameters:
  ///   - listener: of a poller that runs for as long as this service does.
  ///   - drainDeadline: how long clients may take after a graceful shutdown.
  ///   - logger: told of clients' errors, at debug level, and of drains.
  ///   - body: serves one client, see `AsyncListener.serve`.
  public init(
    _ listener: AsyncListener, drainDeadline: Duration = .seconds(30), logger: Logger,
    _ body: nonisolated(nonsending) @escaping @Sendable (AsyncConnection) async throws -> Void
  ) {
    self.listener = listener
    self.drainDeadline = drainDeadline
    self.logger = logger
    self.body = body
    (shutdowns, requests) = AsyncStream.makeStream()
    (endings, end) = AsyncStream.makeStream()
  }

  /// Serves until a graceful shutdown, `shutdown(deadline:)`, or a cancellation. Once.
  public func run() async throws {
    defer { end.finish() }
    let address = listener.address
    logger.info("serving", metadata: ["address": "\(address)"])
    await withGracefulShutdownHandler {
      await withTaskGroup(of: Bool.self) { group in
        group.addTask { [self] in
          await listener.serve(
            onFailure: { [logger] connection, error in
              logger.debug("a client's task has failed", metadata: ["error": "\(error)"])
            }, body)
          return true
        }
        group.addTask { [self] in
          for await deadline in shutdowns {
            logger.info("draining", metadata: ["address": "\(address)", "for": "\(deadline)"])
            listener.close()
            return (try? await Task.sleep(for: deadline)) == nil
          }
          return true
        }
        if await group.next() == false {
          logger.warning(
            "clients are cut: they have not finished in time", metadata: ["address": "\(address)"])
        }
        group.cancelAll()
      }
    } onGracefulShutdown: { [self] in
      requests.yield(drainDeadline)
    }
  }

  /// Does what a graceful shutdown does, for a server that is in no `ServiceGroup`, and waits for
  /// the end of `run()`.
  ///
  /// - Parameter deadline: how long clients may take; nil is `drainDeadline`.
  public func shutdown(deadline: Duration? = nil) async {
    requests.yield(deadline ?? drainDeadline)
    for await _ in endings {}
  }
}
