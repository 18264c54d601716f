import FDDelays
import FDNet
import FDPoller
import Glibc
import Synchronization

/// What goes round. Whoever has it has it alone.
final class Ball: @unchecked Sendable {
  let heartbeat: Heartbeat
  /// Plain, so that ThreadSanitizer sees what a mailbox fails to order.
  var touches = 0

  init(_ heartbeat: Heartbeat) { self.heartbeat = heartbeat }
}

/// Where the balls of one foreign thread lie. Callable from any thread.
final class Tray: @unchecked Sendable {
  private let lock = PlatformLock()
  private var balls: [Ball] = []

  func put(_ ball: Ball) { lock.withLock { balls.append(ball) } }
  func take() -> Ball? { lock.withLock { balls.popLast() } }
  var count: Int { lock.withLock { balls.count } }
}

/// What all who play in one run share.
final class Court: @unchecked Sendable {
  let stage: Stage
  let poller: Poller
  let balls: [Ball]
  let catches: Tally
  let flights: Ledger
  /// One for each loop. Set before any thread starts.
  private(set) var players: [LoopPlayer] = []
  fileprivate let trays: [Tray]
  private let flying = Tally()
  private let start = EventLoop.clock()

  private static let foreigners = 3
  /// How long many balls fly, and then how long few.
  private static let phase: UInt64 = 100_000_000
  private static let few = 2

  init(_ stage: Stage) throws {
    self.stage = stage
    poller = try stage.makePoller("pong")
    catches = stage.count("operations")
    flights = stage.ledger("every ball that is thrown is caught")
    balls = (0..<2 * poller.loops.count + 4).map { Ball(stage.heartbeat("ball \($0)")) }
    trays = (0..<Self.foreigners).map { _ in Tray() }
    for (index, ball) in balls.enumerated() { trays[index % trays.count].put(ball) }
    players = poller.loops.map { LoopPlayer($0, court: self) }
  }

  /// Breaks the circle of references at the end.
  func dissolve() { players = [] }

  /// How many throw: loops and foreign threads.
  var throwers: Int { poller.loops.count + trays.count }
  var ballsAtRest: Int { trays.reduce(0) { $0 + $1.count } }

  /// Whether few balls fly.
  var isQuiet: Bool { (EventLoop.clock() - start) / Self.phase % 2 == 1 }

  /// Lays a ball down in some tray.
  func layDown(_ ball: Ball, _ choice: UInt64) {
    flying.add(-1)
    trays[Int(choice % UInt64(trays.count))].put(ball)
  }

  /// A loop that sleeps over its mail.
  func lookAfterSleepers() {
    for player in players { player.watch.look(stage) }
  }
}

// MARK: - Threads that are no loops

extension Court {
  func startForeigners() {
    for (index, tray) in trays.enumerated() {
      let thrower = Thrower(poller.loops.count + index, of: throwers)
      stage.startThread("foreigner-\(index)") { [unowned self] random in
        serve(from: tray, thrower, &random)
      }
    }
    stage.startThread("referee") { [unowned self] _ in
      usleep(20_000)
      lookAfterSleepers()
    }
  }

  private func serve(from tray: Tray, _ thrower: Thrower, _ random: inout SplitMix) {
    let isQuiet = isQuiet
    if isQuiet { usleep(UInt32(random.next() % 1_000)) }
    if isQuiet && flying.count >= Self.few { return }
    guard let ball = tray.take() else {
      usleep(UInt32(random.next() % 200))
      return
    }
    flying.add()
    thrower.hurl(ball, at: players[Int(random.next() % UInt64(players.count))], self)
  }
}
