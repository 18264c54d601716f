import FDAtomics
import FDDelays

// Defects of the runtime. Stress/mutants/run --defects builds each of them, and starts its hunt.

extension HuntCatalogue {
  static let patches: [Hunt] = [
    patch(
      "NO_UPDATE_ON_LOSS",
      "the loser of a takeover does not tell its kernel poller, which rings on",
      at: "EventLoop.reconcile, after an event that the word says is lost, or a takeover's letter",
      "triangle", [.event, .takeOver, .settle]),
    patch(
      "P_SURVIVES", "what a kernel poller knows of a number outlives the number's close",
      at: "EpollBackend.setInterest and forget, and those of UringBackend: what is armed for whom",
      "reuse-number", [.discharge, .close, .afterClose, .event]),
    patch(
      "STALE_EVENT", "an event of an incarnation that is gone reaches the next one of its number",
      at: "EventLoop.dispatch, event fetched, before the word is asked", "reuse-number",
      [.event, .close, .afterClose]),
    patch(
      "SLEEP_CLEARED_EARLY", "the loop is marked awake before it waits, so that nobody wakes it",
      at: "Mailbox.prepareToSleep, marked asleep, before the wait", "ping-pong",
      [.sleep, .afterSleep, .post, .wake]),
    patch(
      "NO_RECHECK", "the loop sleeps without a look at mail that came while it made up its mind",
      at: "Mailbox.prepareToSleep, mail read, before the loop is marked asleep", "ping-pong",
      [.sleep, .afterSleep, .post, .wake]),
    patch(
      "PURGE_VS_FREE", "the purger queues an idle connection for its end while its owner frees it",
      at: "IdleList.removeOne, out of the list, before the delete", "proxy-chain",
      DelayPlan(at: [.purge], chance: 0.5, sleepMicroseconds: 1_000, kinds: [.sleep]), threads: 8),
    patch(
      "REINSERT_PURGED", "a connection that was purged is listed again by an old flag",
      at: "PooledCompanion.ready, an event of a parked connection that is in no list",
      "proxy-chain", DelayPlan(at: [.purge], chance: 1, sleepMicroseconds: 2_000, kinds: [.sleep])),
    patch(
      "TOUCH_AFTER_PUBLISH", "a connection is used after it was put into the idle list",
      at: "ConnectionPool.checkIn, listed: anybody's", "proxy-chain",
      DelayPlan(at: [.afterLink], chance: 0.2), threads: 8),
    patch(
      "CLOSE_ON_REUSE", "an idle connection that its server has closed is handed out as good",
      at: "ConnectionPool.begin, out of the list, before it is the loop's own", "proxy-chain",
      DelayPlan(at: [.event, .takeMail], chance: 0.05), threads: 8),
  ]

  private static func patch(
    _ defect: String, _ summary: String, at place: String, _ scenario: String,
    _ points: Set<DelayPoint>
  ) -> Hunt {
    patch(defect, summary, at: place, scenario, DelayPlan(at: points, chance: 0.1))
  }

  private static func patch(
    _ defect: String, _ summary: String, at place: String, _ scenario: String,
    _ delays: DelayPlan, threads: Int = 4
  ) -> Hunt {
    var hunt = Hunt(
      defect, summary, at: place, origin: .patch, scenario: scenario, delays: delays)
    // Some are seen at rest, and some take half a second to be told from a busy machine.
    hunt.round = .seconds(3)
    hunt.threads = threads
    return hunt
  }
}
