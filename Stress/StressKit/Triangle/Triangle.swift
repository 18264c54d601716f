import FDPoller
import Glibc

/// Descriptors go from loop to loop to loop and back by takeovers in quick succession, while what
/// their peers have written waits to be read. Nobody is told of what is no longer his, and the last
/// owner hears.
public final class Triangle: StressScenario {
  /// As on the command line.
  public static let name = "triangle"
  /// What it does, in one line.
  public static let summary =
    "descriptors go from A to C to B and back with events pending; nobody spins, the last one hears"

  private let field: Triangles
  private var stage: Stage { field.stage }

  /// Makes the poller; its threads start with `begin`.
  ///
  /// - Throws: `PollerError.invalidConfiguration` with what to change, or `kernelRefused`;
  ///   `StressError.unsuitable` if there is one thread only.
  public init(_ stage: Stage) throws {
    guard stage.parameters.threads > 1 else {
      throw StressError.unsuitable("a descriptor goes from loop to loop: give it 2 threads or more")
    }
    field = try Triangles(stage)
  }

  /// Starts the loops, and a round for every descriptor.
  public func begin() throws {
    try field.poller.start()
    for course in field.courses {
      let loop = field.poller.loops[course.index % field.poller.loops.count]
      loop.run { course.open(on: loop) }
    }
    stage.startThread("auditor") { [unowned field] _ in
      usleep(10_000)
      field.checkLostEvents()
    }
  }

  /// Every descriptor has an owner who has heard everything.
  public func calm() {
    for course in field.courses {
      stage.wait(for: "descriptor \(course.index) does not come to rest") {
        stage.violations.count > 0 || course.isResting
      }
    }
    stage.drainMail(of: field.poller)
  }

  /// Nobody is told anything any more.
  public func audit() {
    field.checkLostEvents()
    stage.auditSilence(of: field.poller)
  }

  /// Deletes what is left.
  public func end() {
    for course in field.courses { field.poller.delete(course.near) }
    stage.wait(for: "deleted and never departed", until: { field.departures.live == 0 })
    stage.stop(field.poller)
    field.dissolve()
  }
}
