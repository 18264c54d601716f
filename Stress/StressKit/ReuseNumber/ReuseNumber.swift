import FDPoller
import SystemPackage

/// Descriptors are closed and opened as fast as it goes, by handlers, loops and foreign threads, so
/// that the same small numbers come round within microseconds; often in the middle of a batch of
/// events, where one of the next is for the number that has just been used again.
public final class ReuseNumber: StressScenario {
  /// As on the command line.
  public static let name = "reuse-number"
  /// What it does, in one line.
  public static let summary =
    "numbers are closed and used again at once, also while events of theirs are in hand"

  private let street: Street
  private var stage: Stage { street.stage }

  /// Makes the poller; its threads start with `begin`.
  ///
  /// - Throws: `PollerError.invalidConfiguration` with what to change, or `kernelRefused`.
  public init(_ stage: Stage) throws { street = try Street(stage) }

  /// Starts the loops, and the threads that are none.
  public func begin() throws {
    try street.poller.start()
    for porter in street.porters {
      porter.loop.run {
        porter.step()
        porter.listen()
      }
    }
    street.startForeigners()
  }

  /// Whoever has been told something has heard it; the porters complain if not.
  public func calm() {
    stage.wait(for: "somebody has not heard, and his loop does not say so") { [self] in
      stage.violations.count > 0 || street.houses.allSatisfy { $0.debt == nil }
    }
    for porter in street.porters {
      stage.wait(for: "\(porter.loop) does not come to rest") { porter.isResting }
    }
    stage.drainMail(of: street.poller)
  }

  /// Nobody is told anything of numbers that are used no more.
  public func audit() { stage.auditSilence(of: street.poller) }

  /// Deletes what is left.
  public func end() {
    defer { street.dissolve() }
    for house in street.houses {
      if let handle = house.condemn() { street.poller.delete(handle) }
    }
    stage.wait(for: self.whatIsLeft, until: { street.departures.live == 0 })
    stage.stop(street.poller)
  }

  private var whatIsLeft: String {
    street.houses.compactMap(\.handle).map {
      "deleted and never departed: \($0), now "
        + street.poller.describe(FileDescriptor(rawValue: $0.fd))
    }.joined(separator: "; ")
  }
}
