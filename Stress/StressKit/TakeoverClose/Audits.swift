import CShims
import FDOwnership
import FDPoller
import Glibc
import Synchronization

// What must hold when nobody does anything any more: a fault that the storm has left behind may be
// a descriptor that is open and looks well.

extension Field {
  func auditAtRest() {
    everyHangUpIsHeard()
    nobodyIsDeaf()
    whatIsParkedCanBeTaken()
    nothingSpins()
  }

  private func everyHangUpIsHeard() {
    let unheard = { self.berths.filter { !$0.isVacant && $0.peerHasGone } }
    guard !Watchdog.wait(until: { unheard().isEmpty }) else { return }
    for berth in unheard() { violate("a hang-up is heard", berth.handle, "\(berth.id)") }
  }

  /// TAKE_BACK_DISARM: an owner with nothing armed would wait for ever.
  private func nobodyIsDeaf() {
    for berth in berths where !berth.isVacant {
      guard let fd = berth.takeFar() else { continue }
      var question = berth.id | Line.question
      var isAnswered = false
      let isAsked = Watchdog.wait {
        isAnswered = readAsPeer(berth, fd) || isAnswered
        return fdp_send(fd, &question, 8, 0) == 8
      }
      let isHeard = isAsked && Watchdog.wait { isAnswered || readAsPeer(berth, fd) }
      if !isHeard { violate("nobody is deaf", berth.handle, "\(berth.id)") }
      berth.putBack(fd)
    }
  }

  /// STRANDED_THIEF: a descriptor that nobody can take over any more would stay idle for ever.
  private func whatIsParkedCanBeTaken() {
    for (index, berth) in berths.enumerated() where !berth.isVacant && !berth.isShared {
      let loop = poller.loops[index % poller.loops.count]
      let handle = berth.handle
      let isTaken = Watchdog.wait {
        let attempt = Attempt()
        loop.run {
          let result = loop.takeOver(handle, wanting: .read) { _ in }
          if result == .taken { loop.park(handle) }
          attempt.finish(isTaken: result == .taken)
        }
        return Watchdog.wait { attempt.isFinished } && attempt.isTaken
      }
      if !isTaken { violate("what is parked can be taken over", handle, "\(berth.id)") }
    }
  }

  /// LOST_P_TRIANGLE, NO_STOP: a kernel poller that still has armed what its loop has lost would
  /// ring for ever.
  private func nothingSpins() {
    let events = { self.poller.snapshot().loops.map { $0[.events] } }
    var before = events()
    let isQuiet = Watchdog.wait {
      usleep(50_000)
      let now = events()
      defer { before = now }
      return now == before
    }
    if !isQuiet { violations.add("at rest there are no events", "\(poller.snapshot())") }
  }

  func auditAtTheEnd() {
    func balance(_ ledger: String, _ one: Int, _ other: Int) {
      if one != other { violations.add(ledger, "\(one) and \(other)") }
    }
    balance("one departure for every insert", inserts.count, departures.count)
    balance("opened = closed", opened.count, closed.count + disowned.count)
    // There are no copies of descriptors here, so there are no zombies.
    let rebuilds = poller.snapshot().total[.kernelPollerRebuilds]
    balance("no kernel poller is made anew", Int(rebuilds), 0)
    let abandoned = poller.snapshot().total[.ringRequestsAbandoned]
    balance("no request is left in a ring", Int(abandoned), 0)
    let missing = poller.snapshot().total[.ringBuffersMissing]
    balance("no receive buffer is missing", Int(missing), 0)
    balance("no descriptor is left in the poller", poller.snapshot().liveDescriptors, 0)
    for worker in workers { worker.forget() }
    _ = Watchdog.wait { self.liveObjects.count == 0 }
    balance("no handler is left", liveObjects.count, 0)
  }
}

/// A takeover on another thread.
private final class Attempt: Sendable {
  private let outcome = Atomic<UInt8>(0)

  func finish(isTaken: Bool) { outcome.store(isTaken ? 2 : 1, ordering: .releasing) }

  var isFinished: Bool { outcome.load(ordering: .acquiring) != 0 }
  var isTaken: Bool { outcome.load(ordering: .acquiring) == 2 }
}
