import FDOwnership
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

/// Runs beside all other tests, since it takes a minute: only its descriptors come and go while
/// nobody counts.
@Suite("Sleeping loops")
struct PingPongTests {
  /// A ball that two loops throw to each other. Whoever has none sleeps, so each throw has to wake
  /// the other, and one wake-up that is lost stops the ball for ever.
  private final class Ball: Sendable {
    let trips = Tally()
    let isOver = Tally()
    let isHome = Tally()
    private let home: EventLoop
    private let away: EventLoop

    init(_ home: EventLoop, _ away: EventLoop) {
      self.home = home
      self.away = away
    }

    func start() { home.run { self.throwIt() } }

    private func throwIt() {
      if isOver.value == 1 {
        isHome.add()
        return
      }
      away.run {
        self.home.run {
          // A breath now and then, for the other tests, and so that timers end some of the sleeps.
          if self.trips.add() % 64 == 0 {
            self.home.schedule(after: .milliseconds(3)) { self.throwIt() }
          } else {
            self.throwIt()
          }
        }
      }
    }
  }

  /// As `Ball`, but the throws are bytes on sockets, so that the loops are woken by the kernel.
  private final class Courier: DescriptorHandler, @unchecked Sendable {
    let trips = Tally()
    private let other: FileDescriptor
    init(answeringOn other: FileDescriptor) { self.other = other }
    override func ready(_ readiness: Readiness, of handle: FDHandle, on loop: EventLoop) {
      guard FileDescriptor(rawValue: handle.fd).drain() == 1 else { return }
      let count = trips.add()
      if count % 256 == 0 {
        loop.schedule(after: .milliseconds(3)) { self.other.put() }
      } else {
        other.put()
      }
    }
  }

  @Test("lose no wake-up: for a minute every round trip between them completes")
  func pingPong() async throws {
    let poller = try await Ledger.closed {
      let poller = try Poller(.tested(threads: 6, groups: 2))
      try poller.start()
      return poller
    }
    let loops = poller.loops
    // Within a group, across groups, and both ways at once.
    let balls = [(0, 2), (1, 3), (0, 1), (4, 5), (5, 4)].map { Ball(loops[$0], loops[$1]) }
    for ball in balls { ball.start() }

    let end = ContinuousClock.now + .seconds(TestRun.isSanitized ? 5 : 60)
    var trips = balls.map(\.trips.value)
    while ContinuousClock.now < end {
      for (index, ball) in balls.enumerated() {
        let goesOn = await eventually { ball.trips.value > trips[index] }
        try #require(goesOn, "ball \(index) stopped after \(ball.trips.value) round trips")
      }
      trips = balls.map(\.trips.value)
      try await Task.sleep(for: .milliseconds(100))
    }
    for ball in balls { ball.isOver.add() }
    for ball in balls { #expect(await eventually { ball.isHome.value == 1 }) }
    let total = poller.snapshot().total
    // They did sleep, and were woken: else nothing has been shown.
    #expect(total[.wakeUpsSent] > 1000)
    try await Ledger.closed { try poller.stop() }
    withExtendedLifetime(poller) {}
  }

  @Test("wake for sockets too: every round trip over a socket pair completes")
  func sockets() async throws {
    try await Ledger.closed {
      try await withTestedPoller(threads: 2) { poller in
        let (there, back) = (SocketPair(), SocketPair())
        let first = Courier(answeringOn: back.far)
        let second = Courier(answeringOn: there.far)
        try poller.insert(there.near, handler: first, on: .loop(poller.loops[0]))
        try poller.insert(back.near, handler: second, on: .loop(poller.loops[1]))
        there.far.put()
        let target = TestRun.isSanitized ? 2000 : 10_000
        #expect(await eventually(within: .seconds(60)) { second.trips.value > target })
        for handle in [there, back] { handle.near.drain() }
        try poller.stop()
        for pair in [there, back] { pair.far.closeForGood() }
      }
    }
  }
}
