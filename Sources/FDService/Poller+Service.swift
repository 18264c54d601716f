public import FDPoller
public import ServiceLifecycle

/// A poller in a `ServiceGroup`: put it before the services that use it, so that it stops after
/// them.
extension Poller: Service {
  /// Starts the poller if it is new, and stops it at a graceful shutdown or a cancellation.
  ///
  /// Outside a `ServiceGroup` nobody announces a graceful shutdown: `shutdown(deadline:)` ends this
  /// call too.
  ///
  /// - Throws: `PollerError` if the poller cannot be started, or does not stop within 30 s.
  public func run() async throws {
    try startIfNew()
    await withTaskGroup(of: Void.self) { group in
      group.addTask { try? await gracefulShutdown() }
      // For ever, or until the loop ends.
      group.addTask { try? await self.loops[0].sleep(for: .seconds(1 << 30)) }
      await group.next()
      group.cancelAll()
    }
    try await shutdown()
  }
}
