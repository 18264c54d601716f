import CShims
import SystemPackage

/// Signals as events on a loop, by signalfd(2): for programs, since libraries leave signals alone.
public enum SignalSource {
  /// Blocks signals in the calling thread and hands each one that comes to a closure on a loop.
  ///
  /// A signal to a process goes to any thread that does not block it, so this is called on the main
  /// thread before there are others than the poller's, which have every signal blocked.
  ///
  /// - Parameters:
  ///   - signals: their numbers, such as `SIGTERM`.
  ///   - loop: where to run the closure; its poller is started.
  ///   - body: gets the number of each signal. Several of one kind that come at once are told as
  ///     one (signal(7)). Called until the returned descriptor is deleted or the poller stops.
  /// - Returns: the handle by which the poller knows the signalfd. The signals stay blocked when it
  ///   is gone.
  /// - Throws: `PollerError.kernelRefused`, or what `Poller.insert` throws.
  @discardableResult
  public static func open(
    _ signals: [CInt], on loop: EventLoop, _ body: @escaping @Sendable (CInt) -> Void
  ) throws(PollerError) -> FDHandle {
    let fd = fdp_signalfd(signals, CInt(signals.count))
    guard fd >= 0 else { throw .kernelRefused("open a signalfd", Errno(rawValue: -fd)) }
    do {
      return try loop.core.insert(
        fd, SignalHandler(body), into: CollectionOfOne(loop), wanting: .read, .fresh)
    } catch {
      _ = fdp_close(fd)
      throw error
    }
  }
}

private final class SignalHandler: DescriptorHandler, @unchecked Sendable {
  private let body: @Sendable (CInt) -> Void

  init(_ body: @escaping @Sendable (CInt) -> Void) { self.body = body }

  override func ready(_ readiness: Readiness, of handle: FDHandle, on loop: EventLoop) {
    while true {
      let signal = fdp_signalfd_read(handle.fd)
      guard signal > 0 else { return }
      loop.noteProgress(of: handle)
      body(signal)
    }
  }
}
