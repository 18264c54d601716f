import Testing

@testable import FDPoller

/// Ticks at which one, some or all digits of the wheel carry, and their neighbours.
private let boundaries: [UInt64] = {
  let carries = (0...10).map { level in UInt64(1) << (6 * level) }
  let ticks = carries.flatMap { [$0 - 1, $0, $0 + 1, 63 &* $0, .max - $0] }
  return Set(ticks).subtracting([0]).sorted()
}()

@Suite("A timer wheel")
struct TimerWheelTests {
  @Test("a timer fires at its tick, once, and never early", arguments: boundaries)
  func firesAtItsTick(distance: UInt64) {
    for start in [0, 1, 63, 64, 4095, 1_700_000_000_000] as [UInt64] {
      guard case (let tick, false) = start.addingReportingOverflow(distance) else { continue }
      var wheel = TimerWheel<String>(now: start)
      wheel.add("timer", at: tick)
      let early = wheel.popExpired(at: tick - 1)
      #expect(early == nil)
      wheel._checkInvariants()
      #expect(wheel.drain(at: tick) == ["timer"])
      #expect(wheel.count == 0)
      wheel._checkInvariants()
    }
  }

  @Test("timers of one tick fire in the order in which they were added, from whatever level")
  func orderWithinATick() {
    var wheel = TimerWheel<Int>(now: 0)
    let tick: UInt64 = 64 * 64 * 64 * 5 + 3
    let additionTimes: [UInt64] = [0, 64 * 64 * 64, tick - 4096, tick - 64, tick - 2, tick - 1]
    for (index, present) in additionTimes.enumerated() {
      #expect(wheel.drain(at: present).isEmpty)
      wheel.add(2 * index, at: tick)
      wheel.add(2 * index + 1, at: tick)
    }
    #expect(wheel.drain(at: tick) == Array(0..<12))
  }

  @Test("a timer for the present or the past fires at the next tick")
  func past() {
    var wheel = TimerWheel<String>(now: 1000)
    wheel.add("present", at: 1000)
    wheel.add("past", at: 1)
    #expect(wheel.nextExpiry() == 1001)
    #expect(wheel.drain(at: 1000).isEmpty)
    #expect(wheel.drain(at: 1001) == ["present", "past"])
  }

  #if DEBUG
    @Test("a present that goes back is caught")
    func presentGoesBack() async {
      await #expect(processExitsWith: .failure) {
        var wheel = TimerWheel<String>(now: 1000)
        _ = wheel.popExpired(at: 999)
      }
    }
  #endif

  @Test("the wheel keeps no payload that it has given back, and none that outlives it")
  func payloadsAreReleased() {
    final class Payload {}
    struct Weak { weak var payload: Payload? }
    var payloads: [Weak] = []
    do {
      var wheel = TimerWheel<Payload>(now: 0)
      let ids = ([1, 2, 3] as [UInt64]).map { tick in
        let payload = Payload()
        payloads.append(Weak(payload: payload))
        return wheel.add(payload, at: tick)
      }
      _ = wheel.popExpired(at: 1)
      wheel.cancel(ids[1])
      #expect(payloads.map { $0.payload != nil } == [false, false, true])
      #expect(wheel.count == 1)
    }
    #expect(payloads[2].payload == nil)
  }

  @Test("a hundred thousand timers are added, half of them cancelled, and the others fire in order")
  func manyTimers() {
    var random = SplitMix64(state: 100_000)
    var wheel = TimerWheel<UInt64>(now: 5)
    let ticks = (0..<100_000).map { _ in UInt64.random(in: 6...600_000, using: &random) }
    let ids = ticks.map { wheel.add($0, at: $0) }
    #expect(wheel.count == 100_000)
    wheel._checkInvariants()

    for index in stride(from: 0, to: ids.count, by: 2) { wheel.cancel(ids[index]) }
    let left = stride(from: 1, to: ids.count, by: 2).map { ticks[$0] }
    #expect(wheel.count == left.count)
    #expect(wheel.drain(at: 600_000) == left.sorted())
    wheel._checkInvariants()
  }
}

@Suite("Cancelling a timer")
struct TimerCancellationTests {
  @Test("gives its payload back once, and not if it has fired")
  func once() {
    var wheel = TimerWheel<String>(now: 0)
    let cancelled = wheel.add("cancelled", at: 10)
    let fired = wheel.add("fired", at: 10)
    let first = wheel.cancel(cancelled)
    let second = wheel.cancel(cancelled)
    #expect(first == "cancelled" && second == nil)
    #expect(wheel.drain(at: 10) == ["fired"])
    let third = wheel.cancel(fired)
    #expect(third == nil)
  }

  @Test("by a stale id does not touch the timer that has its node now")
  func stale() {
    var wheel = TimerWheel<Int>(now: 0)
    var stale: [TimerID] = []
    for round in 0..<100 {
      let id = wheel.add(round, at: 10)
      #expect(stale.allSatisfy { $0.index == id.index }, "the node is used again")
      #expect(!stale.contains(id))
      for old in stale {
        let cancelled = wheel.cancel(old)
        #expect(cancelled == nil)
      }
      let cancelled = wheel.cancel(id)
      #expect(cancelled == round)
      stale.append(id)
    }
    #expect(wheel.count == 0)
  }

  @Test("leaves its neighbours in the bucket, wherever it stands among them", arguments: 0..<5)
  func neighbours(index: Int) {
    for tick in [3, 300, 30_000] as [UInt64] {
      var wheel = TimerWheel<Int>(now: 0)
      let ids = (0..<5).map { wheel.add($0, at: tick) }
      wheel.cancel(ids[index])
      wheel._checkInvariants()
      #expect(wheel.drain(at: tick) == (0..<5).filter { $0 != index })
    }
  }
}

@Suite("What an expired timer runs")
struct TimerReentrancyTests {
  @Test("may add itself again at once, and does not hold up the loop")
  func addsItselfAgain() {
    var wheel = TimerWheel<String>(now: 0)
    wheel.add("timer", at: 100)
    for present in 100...110 as ClosedRange<UInt64> {
      var calls = 0
      while let payload = wheel.popExpired(at: present) {
        calls += 1
        wheel.add(payload, at: 0)
        guard calls < 10 else { break }
      }
      #expect(calls == 1)
      #expect(wheel.nextExpiry() == present + 1)
    }
  }

  @Test("may add timers between those that are still to be popped; they wait for the next tick")
  func addsBetween() {
    var wheel = TimerWheel<String>(now: 0)
    wheel.add("first", at: 10)
    wheel.add("last", at: 5000)
    var fired: [String] = []
    while let payload = wheel.popExpired(at: 10_000) {
      fired.append(payload)
      if payload == "first" {
        wheel.add("between", at: 2000)
        wheel.add("later", at: 20_000)
      }
      wheel._checkInvariants()
    }
    #expect(fired == ["first", "last"])
    #expect(wheel.drain(at: 10_001) == ["between"])
    #expect(wheel.drain(at: 20_000) == ["later"])
  }

  @Test("may cancel a timer that has expired with it")
  func cancelsAnother() {
    for tick in [10, 11, 70, 5000] as [UInt64] {
      var wheel = TimerWheel<String>(now: 0)
      wheel.add("first", at: 10)
      let victim = wheel.add("victim", at: tick)
      wheel.add("last", at: tick)
      var fired: [String] = []
      while let payload = wheel.popExpired(at: 5000) {
        fired.append(payload)
        guard payload == "first" else { continue }
        let cancelled = wheel.cancel(victim)
        #expect(cancelled == "victim")
        wheel._checkInvariants()
      }
      #expect(fired == ["first", "last"])
    }
  }

  @Test("may be put off by the caller: what is left expired fires at the next call")
  func interrupted() {
    var wheel = TimerWheel<Int>(now: 0)
    for index in 0..<100 { wheel.add(index, at: UInt64(index * 50 + 1)) }
    var fired: [Int] = []
    while fired.count < 40, let payload = wheel.popExpired(at: 100_000) { fired.append(payload) }
    wheel._checkInvariants()
    wheel.add(100, at: 0)
    #expect(fired + wheel.drain(at: 100_001) == Array(0...100))
  }
}

@Suite("The sleep of a loop")
struct TimerSleepTests {
  @Test("ends at the tick itself when the timer is near, however long nothing was due before")
  func near() {
    var wheel = TimerWheel<String>(now: 0)
    for present in boundaries.dropLast() {
      #expect(wheel.drain(at: present).isEmpty)
      let id = wheel.add("timer", at: present + 1)
      #expect(wheel.nextExpiry() == present + 1)
      wheel.cancel(id)
    }
  }

  @Test("ends in vain at most ten times on the way to a timer", arguments: boundaries)
  func wakeUps(distance: UInt64) {
    for start in [0, 17, 63, 4095, 1_700_000_000_000] as [UInt64] {
      guard case (let tick, false) = start.addingReportingOverflow(distance) else { continue }
      var wheel = TimerWheel<String>(now: start)
      wheel.add("timer", at: tick)
      var present = start
      var inVain = -1
      var fired: [String] = []
      while fired.isEmpty, inVain < 100 {
        guard let next = wheel.nextExpiry(), next > present, next <= tick else {
          Issue.record("the loop sleeps past the timer, or not at all, at \(present)")
          return
        }
        present = next
        fired = wheel.drain(at: present)
        inVain += 1
      }
      #expect(present == tick)
      #expect(inVain <= 10)
    }
  }
}

@Suite("A timer wheel and a sorted list")
struct TimerModelTests {
  @Test("agree on every answer", arguments: 1...8 as ClosedRange<UInt64>)
  func agree(seed: UInt64) throws {
    var random = SplitMix64(state: seed)
    let starts: [UInt64] = [0, 63, 1 << 24 - 7, 1 << 42 - 1000, 1_700_000_000_000, .max >> 1]
    var pair = WheelAndModel(now: starts.randomElement(using: &random)!)
    for operation in 0..<25_000 {
      switch UInt8.random(in: 0..<100, using: &random) {
      case 0..<48: pair.add(using: &random)
      case 48..<75: pair.cancel(using: &random)
      default: pair.advance(using: &random)
      }
      if operation % 250 == 0 { pair.wheel._checkInvariants() }
      let disagreement = pair.disagreement
      try #require(disagreement == nil, "at operation \(operation)")
    }
    pair.finish()
    let disagreement = pair.disagreement
    #expect(disagreement == nil)
  }
}

// MARK: - Model

/// A wheel, and a list of the same timers sorted by tick, each asked the same.
private struct WheelAndModel: ~Copyable {
  struct Timer: Equatable {
    var tick: UInt64
    var serial: Int
  }

  var wheel: TimerWheel<Int>
  /// The first question on which they differed.
  private(set) var disagreement: String?
  private var now: UInt64
  /// Latest first, so that the earliest is removed at the end.
  private var timers: [Timer] = []
  private var known: [(id: TimerID, timer: Timer)] = []
  private var serial = 0

  init(now: UInt64) {
    wheel = TimerWheel(now: now)
    self.now = now
  }

  mutating func add(using random: inout SplitMix64) {
    let tick = someTick(using: &random)
    let timer = Timer(tick: max(tick, now + 1), serial: serial)
    let id = wheel.add(serial, at: tick)
    serial += 1
    timers.insert(timer, at: position(of: timer))
    known.append((id, timer))
    compare()
  }

  mutating func cancel(using random: inout SplitMix64) {
    // Some of the known have fired by now, and some have been cancelled before.
    guard let (id, timer) = known.suffix(500).randomElement(using: &random) else { return }
    let position = position(of: timer)
    let isLive = position < timers.count && timers[position] == timer
    if isLive { timers.remove(at: position) }
    agree(wheel.cancel(id) == (isLive ? timer.serial : nil), "is \(timer) there to cancel?")
    compare()
  }

  /// Pops all that has expired; now and then what is popped adds and cancels.
  mutating func advance(using random: inout SplitMix64) {
    // Mostly by little, so that timers gather, and rarely so far that few are left.
    let jumps = UInt8.random(in: 0..<32, using: &random) == 0
    now = jumps ? max(now, someTick(using: &random)) : now + random.next() % 200
    while let serial = wheel.popExpired(at: now) {
      let timer = timers.popLast()
      agree(timer?.serial == serial, "which timer is next?")
      agree(timer.map { $0.tick <= now } ?? false, "has it expired?")
      guard disagreement == nil else { return }
      switch UInt8.random(in: 0..<8, using: &random) {
      case 0: add(using: &random)
      case 1: cancel(using: &random)
      default: break
      }
    }
    compare()
    agree(timers.last.map { $0.tick > now } ?? true, "has no other timer expired?")
    agree(wheel.nextExpiry().map { $0 > now } ?? true, "does the loop sleep?")
  }

  mutating func finish() {
    agree(wheel.drain(at: .max) == timers.reversed().map(\.serial), "which timers are left?")
    agree(wheel.count == 0, "is the wheel empty?")
  }

  private mutating func compare() {
    agree(wheel.count == timers.count, "how many are there?")
    switch (wheel.nextExpiry(), timers.last) {
    case (nil, nil): break
    case (let next?, let timer?): agree(next <= timer.tick, "how long may the loop sleep?")
    default: agree(false, "is there a timer?")
    }
  }

  private mutating func agree(_ answersAgree: Bool, _ question: @autoclosure () -> String) {
    if !answersAgree && disagreement == nil { disagreement = question() }
  }

  /// A tick that is near, or far by any number of digits, or close to where digits carry, or past.
  private func someTick(using random: inout SplitMix64) -> UInt64 {
    let distance = random.next() >> UInt64.random(in: 22...63, using: &random)
    switch UInt8.random(in: 0..<8, using: &random) {
    case 0:
      let carry = UInt64(1) << (6 * UInt64.random(in: 1...7, using: &random))
      return now / carry * carry + carry + UInt64.random(in: 0...2, using: &random) - 1
    case 1: return now - min(now, distance)
    case 2: return now + distance
    case 3...5: return now + UInt64.random(in: 0...100, using: &random)
    default: return now + UInt64.random(in: 0...10_000, using: &random)
    }
  }

  /// Where the timer is, or would be, among the others.
  private func position(of timer: Timer) -> Int {
    let later = timers.lastIndex { ($0.tick, $0.serial) > (timer.tick, timer.serial) }
    return later.map { $0 + 1 } ?? 0
  }
}

extension TimerWheel {
  fileprivate mutating func drain(at now: UInt64) -> [Payload] {
    var payloads: [Payload] = []
    while let payload = popExpired(at: now) { payloads.append(payload) }
    return payloads
  }
}

private struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}
