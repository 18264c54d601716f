import FDPoller
import Glibc
import Synchronization
import SystemPackage

extension Field {
  /// Lets every thread do what it likes for a while, and then come to rest.
  ///
  /// - Returns: who hangs, in words.
  func storm(_ parameters: StressParameters) -> [String] {
    do {
      try poller.start()
    } catch {
      violations.add("the poller starts", "\(error)")
      return []
    }
    let trades: [Foreigner.Trade] = [.peer, .peer, .deleter, .opener]
    let foreigners = trades.enumerated().map {
      Foreigner($1, number: $0, field: self, seed: parameters.seed)
    }
    for worker in workers { worker.loop.run { worker.step() } }
    for foreigner in foreigners where !foreigner.start() {
      violations.add("threads are to be had", foreigner.heartbeat.name)
    }
    var watchdog = Watchdog(workers.map(\.heartbeat) + foreigners.map(\.heartbeat))
    let end = ContinuousClock.now + parameters.duration
    var hanging: [String] = []
    while ContinuousClock.now < end, hanging.isEmpty, violations.count == 0 {
      usleep(20_000)
      hanging = watchdog.look()
    }
    calmDown()
    guard hanging.isEmpty else { return hanging.map { "\($0) does nothing any more" } }
    guard Watchdog.wait(until: { foreigners.allSatisfy(\.hasEnded) }) else {
      return foreigners.filter { !$0.hasEnded }.map { "\($0.heartbeat.name) does not end" }
    }
    guard Watchdog.wait(until: { self.workers.allSatisfy(\.isResting) }) else {
      return workers.filter { !$0.isResting }.map { "\($0.loop) does not come to rest" }
    }
    return drainMail() ? [] : ["a loop does not read its mail"]
  }

  /// Waits until every loop has read what was posted before, and what that has posted in turn.
  private func drainMail() -> Bool {
    for _ in 0..<3 {
      let readers = Tally()
      for loop in poller.loops { loop.run { readers.add() } }
      guard Watchdog.wait(until: { readers.count == poller.loops.count }) else { return false }
    }
    return true
  }

  /// Deletes what is left and stops the poller.
  ///
  /// - Returns: who hangs, in words.
  func endEverything() -> [String] {
    for berth in berths where !berth.isVacant { poller.delete(berth.handle) }
    guard Watchdog.wait(until: { self.live == 0 }) else {
      return berths.filter { !$0.isVacant }.map {
        "deleted and never departed: \($0.handle), now "
          + poller.describe(FileDescriptor(rawValue: $0.handle.fd))
      }
    }
    do {
      try poller.stop(deadline: Watchdog.patience)
      return []
    } catch {
      return ["\(error)"]
    }
  }
}
