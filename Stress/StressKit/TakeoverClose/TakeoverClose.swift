import FDOwnership
import FDPoller
import SystemPackage

/// Loops steal each other's parked connections, use them, move them and park them again, while
/// handlers, loops, foreign threads and 1 ms timeouts delete them, peers write and hang up, and
/// every number is used again at once.
public final class TakeoverClose: StressScenario {
  /// As on the command line.
  public static let name = "takeover-close"
  /// What it does, in one line.
  public static let summary =
    "loops steal connections that others delete and peers leave; numbers are used again at once"

  /// The same without loops.
  public static let ofSplitMask: (any StressScenario.Type)? = Arena.self

  private let field: Field
  private var stage: Stage { field.stage }

  /// Makes the poller; its threads start with `begin`.
  ///
  /// - Throws: `PollerError.invalidConfiguration` with what to change, or `kernelRefused`.
  public init(_ stage: Stage) throws { field = try Field(stage) }

  /// Starts the loops, and the threads that are none.
  public func begin() throws {
    try field.poller.start()
    for worker in field.workers { worker.loop.run { worker.step() } }
    field.startForeigners()
  }

  /// Everything that was held is parked.
  public func calm() {
    for worker in field.workers {
      guard stage.wait(for: "\(worker.loop) does not come to rest", until: { worker.isResting })
      else { return }
    }
    stage.drainMail(of: field.poller)
  }

  /// A fault that the storm has left behind may be a descriptor that is open and looks well.
  public func audit() { field.auditAtRest() }

  /// Deletes what is left.
  public func end() {
    defer { field.dissolve() }
    for berth in field.berths where !berth.isVacant { field.poller.delete(berth.handle) }
    stage.wait(for: self.field.whatIsLeft, until: { field.departures.live == 0 })
    stage.stop(field.poller)
    for worker in field.workers { worker.forget() }
  }
}

extension Field {
  fileprivate var whatIsLeft: String {
    berths.filter { !$0.isVacant }.map {
      "deleted and never departed: \($0.handle), now "
        + poller.describe(FileDescriptor(rawValue: $0.handle.fd))
    }.joined(separator: "; ")
  }
}
