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
    stage.auditSilence(of: poller)
  }

  private func everyHangUpIsHeard() {
    let unheard = { self.berths.filter { !$0.isVacant && $0.peerHasGone } }
    guard !stage.comes({ unheard().isEmpty }) else { return }
    for berth in unheard() { violate("a hang-up is heard", berth.handle, "\(berth.id)") }
  }

  /// TAKE_BACK_DISARM: an owner with nothing armed would wait for ever.
  private func nobodyIsDeaf() {
    for berth in berths where !berth.isVacant {
      guard let fd = berth.takeFar() else { continue }
      var question = berth.id | Line.question
      var isAnswered = false
      let isAsked = stage.comes {
        isAnswered = readAsPeer(berth, fd) || isAnswered
        return fdp_send(fd, &question, 8, 0) == 8
      }
      let isHeard = isAsked && stage.comes { isAnswered || readAsPeer(berth, fd) }
      if !isHeard { violate("nobody is deaf", berth.handle, "\(berth.id)") }
      berth.putBack(fd)
    }
  }

  /// STRANDED_THIEF: a descriptor that nobody can take over any more would stay idle for ever.
  private func whatIsParkedCanBeTaken() {
    for (index, berth) in berths.enumerated() where !berth.isVacant && !berth.isShared {
      let loop = poller.loops[index % poller.loops.count]
      let handle = berth.handle
      let isTaken = stage.comes {
        let attempt = Attempt()
        loop.run {
          let result = loop.takeOver(handle, wanting: .read) { _ in }
          if result == .taken { loop.park(handle) }
          attempt.finish(isTaken: result == .taken)
        }
        return stage.comes { attempt.isFinished } && attempt.isTaken
      }
      if !isTaken { violate("what is parked can be taken over", handle, "\(berth.id)") }
    }
  }
}

/// A takeover on another thread.
private final class Attempt: Sendable {
  private let outcome = Atomic<UInt8>(0)

  func finish(isTaken: Bool) { outcome.store(isTaken ? 2 : 1, ordering: .releasing) }

  var isFinished: Bool { outcome.load(ordering: .acquiring) != 0 }
  var isTaken: Bool { outcome.load(ordering: .acquiring) == 2 }
}
