public import FDPoller
import Glibc

// What scenarios that have a poller need again and again. Not on an event loop.

extension Stage {
  /// Waits until every loop has read what was posted before, and what that has posted in turn.
  ///
  /// - Parameter poller: started, and not stopped.
  public func drainMail(of poller: Poller) {
    for _ in 0..<3 {
      let readers = Tally()
      for loop in poller.loops { loop.run { readers.add() } }
      guard
        wait(for: "a loop does not read its mail", until: { readers.count == poller.loops.count })
      else { return }
    }
  }

  /// At rest there are no events: a kernel poller that still has armed what its loop has lost would
  /// ring for ever.
  ///
  /// - Parameter poller: nobody does anything to its descriptors.
  public func auditSilence(of poller: Poller) {
    let events = { poller.snapshot().loops.map { $0[.events] } }
    var before = events()
    let isQuiet = comes {
      usleep(50_000)
      let now = events()
      defer { before = now }
      return now == before
    }
    if !isQuiet { violate("at rest there are no events", "\(poller.snapshot())") }
  }

  /// Stops a poller of this stage. If that does not come to an end it is a hang, in words.
  ///
  /// - Parameter poller: running.
  public func stop(_ poller: Poller) {
    do {
      try poller.stop(deadline: parameters.patience * 3)
    } catch {
      hang(["\(error)"])
    }
  }
}
