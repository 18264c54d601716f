import FDCoordination
import TestKit
import Testing

@Suite("Heartbeat: its counting")
struct HeartbeatStateTests {
  static let second: UInt64 = 1_000_000_000

  @Test("a silent peer is asked after the interval, once more after the timeout, and is dead then")
  func death() {
    let second = Self.second
    var heartbeat = Heartbeat(HeartbeatSettings(), now: 100 * second)
    #expect(heartbeat.due == 115 * second)
    #expect(heartbeat.fire(at: 114 * second) == .wait)
    #expect(heartbeat.fire(at: 115 * second) == .probe(1))
    #expect(heartbeat.fire(at: 129 * second) == .wait)
    #expect(heartbeat.fire(at: 130 * second) == .probe(2))
    #expect(heartbeat.fire(at: 144 * second) == .wait)
    #expect(heartbeat.fire(at: 145 * second) == .dead(silence: .seconds(45)))
  }

  @Test("any byte resets: two misses have to be in a row")
  func reset() {
    let second = Self.second
    var heartbeat = Heartbeat(HeartbeatSettings(), now: 0)
    var now: UInt64 = 0
    for _ in 0..<10 {
      now = heartbeat.due
      if case .probe = heartbeat.fire(at: now) {} else { Issue.record("no probe") }
      now = heartbeat.due
      if case .probe = heartbeat.fire(at: now) {} else { Issue.record("no second probe") }
      heartbeat.heard(at: now + 14 * second)
      now = heartbeat.due
      #expect(heartbeat.fire(at: now) == .wait)
      #expect(heartbeat.due == now - second + 15 * second)
    }
    #expect(heartbeat.roundTrip == nil)
  }

  @Test("an answer may take 1.5 times the last round trip, if that is longer than the timeout")
  func patience() {
    let second = Self.second
    var heartbeat = Heartbeat(HeartbeatSettings(), now: 0)
    #expect(heartbeat.fire(at: 15 * second) == .probe(1))
    #expect(heartbeat.fire(at: 30 * second) == .probe(2))
    // The late answer to the first one.
    heartbeat.answered(1, at: 43 * second)
    #expect(heartbeat.roundTrip == .seconds(28))
    #expect(heartbeat.fire(at: 45 * second) == .wait)
    #expect(heartbeat.fire(at: 58 * second) == .probe(3))
    #expect(heartbeat.due == (58 + 42) * second)
    // An answer to nothing is a sign of life and no measurement.
    heartbeat.answered(99, at: 60 * second)
    #expect(heartbeat.roundTrip == .seconds(28))
  }

  @Test("who stood still itself gives the peer its time again")
  func lateTimer() {
    let second = Self.second
    var heartbeat = Heartbeat(HeartbeatSettings(), now: 0)
    #expect(heartbeat.fire(at: 15 * second) == .probe(1))
    #expect(heartbeat.fire(at: 30 * second) == .probe(2))
    #expect(heartbeat.fire(at: 3_000 * second) == .probe(3))
    #expect(heartbeat.fire(at: 3_015 * second) == .dead(silence: .seconds(3_015)))
  }

  @Test("a busy peer is never asked")
  func busy() {
    var heartbeat = Heartbeat(HeartbeatSettings(), now: 0)
    for turn in 1...10_000 {
      let now = UInt64(turn) * Self.second / 10
      heartbeat.heard(at: now)
      #expect(heartbeat.fire(at: now) == .wait)
    }
  }

  @Test(
    "whatever happens, a peer that is heard within the timeout is never dead", arguments: 0..<10)
  func random(seed: Int) {
    var random = SeededRandom(seed: UInt64(seed))
    var heartbeat = Heartbeat(
      HeartbeatSettings(interval: .milliseconds(150), timeout: .milliseconds(100)), now: 0)
    var now: UInt64 = 0
    var lastHeard: UInt64 = 0
    for _ in 0..<10_000 {
      now += UInt64.random(in: 0...60_000_000, using: &random)
      if now - lastHeard > 90_000_000 || Bool.random(using: &random) {
        heartbeat.heard(at: now)
        lastHeard = now
      }
      if case .dead = heartbeat.fire(at: now) { Issue.record("dead at \(now)") }
    }
  }
}
