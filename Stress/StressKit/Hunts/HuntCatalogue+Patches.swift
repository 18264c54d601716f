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
      at: "EventLoop, what is armed for a number, when another incarnation is inserted",
      "reuse-number", [.discharge, .close, .afterClose, .event], round: .seconds(3)),
    patch(
      "STALE_EVENT", "an event of an incarnation that is gone reaches the next one of its number",
      at: "EventLoop.dispatch, event fetched, before the word is asked", "reuse-number",
      [.event, .close, .afterClose]),
    patch(
      "SLEEP_CLEARED_EARLY", "the loop is marked awake before it waits, so that nobody wakes it",
      at: "Mailbox.prepareToSleep, marked asleep, before the wait", "ping-pong",
      [.sleep, .afterSleep, .post, .wake], round: .seconds(3)),
    patch(
      "NO_RECHECK", "the loop sleeps without a look at mail that came while it made up its mind",
      at: "Mailbox.prepareToSleep, mail read, before the loop is marked asleep", "ping-pong",
      [.sleep, .afterSleep, .post, .wake], round: .seconds(3)),
    patch(
      "PURGE_VS_FREE", "the purger queues an idle connection for its end while its owner frees it",
      at: "ConnectionPool.closeUnlinked, out of the list, before the delete", "timeout-storm",
      [.purge, .unlink, .takeIdle, .delist]),
    patch(
      "REINSERT_PURGED", "a connection that was purged is listed again by an old flag",
      at: "ConnectionPool.checkIn, parked, before it is listed", "timeout-storm",
      [.link, .purge, .unlink]),
    patch(
      "TOUCH_AFTER_PUBLISH", "a connection is used after it was put into the idle list",
      at: "ConnectionPool.checkIn, listed: anybody's", "proxy-chain",
      [.link, .afterLink, .takeIdle]),
    patch(
      "CLOSE_ON_REUSE", "an idle connection that its server has closed is handed out as good",
      at: "ConnectionPool.begin, out of the list, before it is the loop's own", "rst-storm",
      [.takeIdle, .delist, .afterDelist, .unlink]),
  ]

  private static func patch(
    _ defect: String, _ summary: String, at place: String, _ scenario: String,
    _ points: Set<DelayPoint>, round: Duration = .seconds(1)
  ) -> Hunt {
    var hunt = Hunt(
      defect, summary, at: place, origin: .patch, scenario: scenario,
      delays: DelayPlan(at: points, chance: 0.1))
    hunt.round = round
    hunt.threads = 4
    return hunt
  }
}
