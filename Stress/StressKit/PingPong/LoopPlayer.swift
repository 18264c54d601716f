import FDDelays
import FDPoller
import Glibc

/// Who throws balls at loops: one thread's.
final class Thrower: @unchecked Sendable {
  private let index: Int
  /// How many it has thrown at each loop.
  private var thrown: [Int]

  /// - Parameters:
  ///   - index: among all who throw.
  ///   - count: of all who throw, which are more than the loops.
  init(_ index: Int, of count: Int) {
    self.index = index
    thrown = [Int](repeating: 0, count: count)
  }

  func hurl(_ ball: Ball, at player: LoopPlayer, _ court: Court) {
    ball.heartbeat.beat()
    let (index, number) = (index, thrown[player.loop.index])
    thrown[player.loop.index] += 1
    court.flights.open()
    let isPosted = player.loop.run { player.receive(ball, number: number, from: index) }
    if !isPosted { court.stage.violate("a loop that runs takes mail", "\(player.loop)") }
    // Only now is it sure that the loop has been woken.
    player.watch.posted.add()
  }
}

/// A loop, and who throws for it. On the loop, save where it says otherwise.
final class LoopPlayer: @unchecked Sendable {
  let loop: EventLoop
  /// Callable from any thread, save `look`.
  let watch: SleepWatch
  private unowned let court: Court
  private let thrower: Thrower
  private var random: SplitMix
  /// How many balls have come from each who throws.
  private var received: [Int]

  init(_ loop: EventLoop, court: Court) {
    self.loop = loop
    self.court = court
    watch = SleepWatch(loop, of: court.poller)
    thrower = Thrower(loop.index, of: court.throwers)
    random = court.stage.random(for: loop.name)
    received = [Int](repeating: 0, count: court.throwers)
  }

  func receive(_ ball: Ball, number: Int, from sender: Int) {
    watch.read.add()
    court.flights.close()
    court.catches.add()
    ball.touches += 1
    if received[sender] != number {
      court.stage.violate(
        "letters of one thread arrive in their order",
        "\(loop) has got number \(number) of thrower \(sender), and not \(received[sender])")
    }
    received[sender] = number + 1
    dawdle()
    let layDown: UInt64 = court.isQuiet ? 4 : 16
    guard court.stage.isStormy, random.next() % layDown != 0 else {
      return court.layDown(ball, random.next())
    }
    // Sometimes at itself, which is awake.
    let other = court.players[Int(random.next() % UInt64(court.players.count))]
    thrower.hurl(ball, at: other, court)
  }

  /// A moment, now and then a long one, so that the threads meet in ever different ways.
  private func dawdle() {
    guard random.next() % 8 == 0 else { return }
    if random.next() % 8 == 0 { usleep(UInt32(random.next() % 100)) } else { sched_yield() }
  }
}
