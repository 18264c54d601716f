import FDDelays
import FDNet
import FDPoller
import Glibc

/// Pollers are stopped in the midst of everything, one after the other, while other threads go on
/// inserting, posting and deleting.
public final class ShutdownMidway: StressScenario, Sendable {
  /// As on the command line.
  public static let name = "shutdown-midway"
  /// What it does, in one line.
  public static let summary =
    "pollers are stopped in the midst of a load, while other threads insert, post and delete"

  private let stage: Stage
  private let ledgers: ShutdownLedgers
  private let lock = PlatformLock()
  /// The round that the foreign threads meddle with. Under the lock.
  private nonisolated(unsafe) var round: ShutdownRound?

  /// Makes nothing yet: each round has a poller of its own.
  public init(_ stage: Stage) throws {
    self.stage = stage
    ledgers = ShutdownLedgers(stage)
  }

  /// Starts the thread that makes and stops pollers, and two that get in its way.
  ///
  /// - Throws: what the first poller throws: `PollerError.invalidConfiguration`, or what the kernel
  ///   refuses.
  public func begin() throws {
    begin(try ShutdownRound(stage, ledgers))
    stage.startThread("stopper") { [unowned self] random in
      usleep(UInt32(random.next() % 40_000))
      stop()
      guard stage.isStormy else { return }
      do {
        begin(try ShutdownRound(stage, ledgers))
      } catch {
        stage.violate("a poller is to be had after another one", "\(error)")
      }
    }
    for number in 0..<2 {
      stage.startThread("meddler-\(number)") { [unowned self] random in
        lock.withLock { round }?.meddle(&random)
        if random.next() % 4 == 0 { usleep(UInt32(random.next() % 200)) }
      }
    }
  }

  private func begin(_ fresh: ShutdownRound) {
    lock.withLock { round = fresh }
    fresh.begin()
    ledgers.operations.add()
  }

  /// Stops the round, and lets the others find out.
  private func stop() {
    guard let over = lock.withLock({ round }) else { return }
    over.stop()
    lock.withLock { round = nil }
  }

  /// Ends the last round.
  public func calm() { stop() }

  /// Each round has been looked at when it ended; there was something to stop in them.
  public func audit() {
    if ledgers.operations.count > 10 && ledgers.conversations.incoming.count == 0 {
      stage.violate("connections are made before a stop", "none was in all rounds")
    }
  }

  /// Nothing is left but what `calm` has ended.
  public func end() { stop() }
}

/// What must balance over all rounds.
final class ShutdownLedgers: Sendable {
  let stage: Stage
  let operations: Tally
  let posted: Tally
  let handedBack: Tally
  let posts: Ledger
  let connects: Ledger
  let conversations: Ledger
  let departures: Ledger
  let objects: Ledger

  init(_ stage: Stage) {
    self.stage = stage
    operations = stage.count("operations")
    posted = stage.count("posts")
    handedBack = stage.count("posts handed back")
    posts = stage.ledger("what a loop has taken it runs")
    connects = stage.ledger("every connect is answered once")
    conversations = stage.ledger("every connection is closed once")
    departures = stage.ledger("one departure for every insert")
    objects = stage.ledger("no handler is left")
  }
}
