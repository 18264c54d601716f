import FDPoller

/// Balls go round loops and threads that are none, through the loops' mailboxes alone: no timer and
/// no descriptor wakes a loop that has missed a letter. By turns there are many balls, and so few
/// that every loop falls asleep between two of them.
public final class PingPong: StressScenario {
  /// As on the command line.
  public static let name = "ping-pong"
  /// What it does, in one line.
  public static let summary =
    "balls go round loops and foreign threads through mailboxes; loops fall asleep in between"

  private let court: Court
  private var stage: Stage { court.stage }

  /// Makes the poller; its threads start with `begin`.
  ///
  /// - Throws: `PollerError.invalidConfiguration` with what to change, or `kernelRefused`.
  public init(_ stage: Stage) throws { court = try Court(stage) }

  /// Starts the loops, and serves.
  public func begin() throws {
    try court.poller.start()
    court.startForeigners()
  }

  /// Every ball comes to lie in a tray.
  public func calm() {
    stage.wait(for: "balls are under way for ever") { [self] in
      court.lookAfterSleepers()
      return stage.violations.count > 0 || court.ballsAtRest == court.balls.count
    }
  }

  /// What has gone round has been counted wherever it was.
  public func audit() {
    let touches = court.balls.reduce(0) { $0 + $1.touches }
    if touches != court.catches.count {
      stage.violate("every catch is seen by the next", "\(touches) of \(court.catches.count)")
    }
  }

  /// Stops the loops.
  public func end() {
    stage.stop(court.poller)
    court.dissolve()
  }
}
