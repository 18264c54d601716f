import FDCoordination
import FDNet
import FDPoller
import TestKit
import Testing

/// The statements about `SessionRegistry`, by their numbers.
@Suite("SessionRegistry")
struct SessionRegistryTests {
  typealias Registry = SessionRegistry<String, TestSession>

  private func expectFailure(
    _ expected: SessionRegistryError, _ body: () async throws(SessionRegistryError) -> Void
  ) async {
    do {
      try await body()
      Issue.record("it did not fail with \(expected)")
    } catch {
      #expect(error == expected)
    }
  }

  @discardableResult
  private func activate(
    _ id: String, _ session: TestSession = TestSession(), in registry: Registry
  ) throws -> Registration<String> {
    let reservation = try registry.reserve(id)
    return try reservation.activate(session)
  }

  // MARK: 1

  @Test("1. reserve(id), activate(session), remove")
  func cycle() throws {
    let registry = Registry()
    let session = TestSession()
    let reservation = try registry.reserve("a")
    #expect(try registry.session(for: "a") == nil)
    let registration = try reservation.activate(session)
    #expect(try registry.session(for: "a") === session)
    #expect(registry.remove(registration))
    #expect(try registry.session(for: "a") == nil)
    #expect(registry.count == SessionRegistryCount(sessions: 0, reservations: 0, waiters: 0))
  }

  @Test("1. reserve fails if the id is reserved, or active and open")
  func refused() async throws {
    let registry = Registry()
    let reservation = try registry.reserve("a")
    await expectFailure(.reserved(id: "a")) { () async throws(SessionRegistryError) in
      _ = try registry.reserve("a")
    }
    try reservation.activate(TestSession())
    await expectFailure(.active(id: "a")) { () async throws(SessionRegistryError) in
      _ = try registry.reserve("a")
    }
    await expectFailure(.spent(id: "a")) { () async throws(SessionRegistryError) in
      try reservation.activate(TestSession())
    }
  }

  @Test("1. A closed active entry does not block")
  func closed() throws {
    let registry = Registry()
    let (old, new) = (TestSession(), TestSession())
    try activate("a", old, in: registry)
    old.close()
    try activate("a", new, in: registry)
    #expect(try registry.session(for: "a") === new)
  }

  // MARK: 2

  @Test(
    "2. activate publishes, ends the reservation and wakes only that id's waiters; 10,000 waiters on other ids are not touched"
  )
  func wakeUps() {
    typealias Guest = CountingWaiter<SessionOutcome<TestSession>>
    let core = SessionRegistryCore<PlatformLock, Int, TestSession, Guest, StillTime>(StillTime())
    let waiters = (0..<10_000).map { _ in Guest() }
    let mine = (0..<3).map { _ in Guest() }
    let due = Moment.beginning + .seconds(10)
    for (id, waiter) in waiters.enumerated() {
      _ = core.wait(for: id, knowingClosed: nil, until: due, waiter)
    }
    for waiter in mine { _ = core.wait(for: -1, knowingClosed: nil, until: due, waiter) }
    guard case .reserved(let incarnation) = core.reserve(-1) else {
      Issue.record("it is not reserved")
      return
    }
    let session = TestSession()
    #expect(core.activate(-1, incarnation, session) == .activated)
    #expect(mine.map(\.wakeUps) == [1, 1, 1])
    #expect(waiters.allSatisfy { $0.wakeUps == 0 })
    #expect(core.counts == (sessions: 1, reservations: 0, waiters: 10_000))
    guard case .found(_, session)? = mine[0].outcome, case .found(session) = core.find(-1) else {
      Issue.record("it is not published")
      return
    }
  }

  @Test("2. A task that waits gets the session that is activated under its id")
  func waiting() async throws {
    let registry = Registry()
    let session = TestSession()
    async let found = registry.session(for: "a", deadline: .seconds(60))
    #expect(await eventually { registry.count.waiters == 1 })
    let reservation = try registry.reserve("a")
    #expect(registry.count.waiters == 1)
    try reservation.activate(session)
    #expect(try await found === session)
    #expect(registry.count == SessionRegistryCount(sessions: 1, reservations: 0, waiters: 0))
  }

  @Test("2. A session that has closed by the time its waiter runs is not given to it")
  func closedMeanwhile() async throws {
    let registry = Registry()
    async let found = registry.session(for: "a", deadline: .seconds(60))
    #expect(await eventually { registry.count.waiters == 1 })
    let (dead, alive) = (TestSession(), TestSession())
    dead.close()
    try activate("a", dead, in: registry)
    try activate("a", alive, in: registry)
    #expect(try await found === alive)
  }

  // MARK: 3

  @Test("3. Every failure path gives the reservation back")
  func givenBack() async throws {
    let registry = Registry()
    await #expect(throws: Broken.self) {
      try await registry.withReservation("a") { _ in throw Broken() }
    }
    #expect(registry.count.reservations == 0)
    try await registry.withReservation("a") { _ in }
    #expect(registry.count.reservations == 0)
    do { _ = try registry.reserve("a") }
    #expect(registry.count.reservations == 0)
    try registry.reserve("a").cancel()
    #expect(registry.count.reservations == 0)
    let task = Task {
      try await registry.withReservation("a") { _ in try await Signal().wait() }
    }
    #expect(await eventually { registry.count.reservations == 1 })
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(registry.count.reservations == 0)
    try activate("a", in: registry)
    await #expect(throws: SessionRegistryError.active(id: "a")) {
      try await registry.withReservation("a") { _ in }
    }
    #expect(registry.count == SessionRegistryCount(sessions: 1, reservations: 0, waiters: 0))
  }

  @Test("3. A failure after the activation leaves the session, and its registration removes it")
  func failureAfterActivation() async throws {
    let registry = Registry()
    var registration: Registration<String>?
    await #expect(throws: Broken.self) {
      try await registry.withReservation("a") { reservation in
        registration = try reservation.activate(TestSession())
        throw Broken()
      }
    }
    #expect(registry.count == SessionRegistryCount(sessions: 1, reservations: 0, waiters: 0))
    #expect(registry.remove(try #require(registration)))
  }

  // MARK: 4

  @Test(
    "4. remove takes the registration's identity: the late clean-up of session A never deletes its successor B under the same id"
  )
  func successor() throws {
    let registry = Registry()
    let (a, b) = (TestSession("A"), TestSession("B"))
    let ofA = try activate("x", a, in: registry)
    a.close()
    let reservationOfB = try registry.reserve("x")
    #expect(!registry.remove(ofA))
    let ofB = try reservationOfB.activate(b)
    #expect(!registry.remove(ofA))
    #expect(try registry.session(for: "x") === b)
    #expect(ofA != ofB)
    #expect(registry.remove(ofB))
  }

  // MARK: 5

  @Test("5. get(id, wait: false) answers at once, nil if absent, and never a closed session")
  func atOnce() throws {
    let registry = Registry()
    #expect(try registry.session(for: "a") == nil)
    let session = TestSession()
    try activate("a", session, in: registry)
    #expect(try registry.session(for: "a") === session)
    session.close()
    #expect(try registry.session(for: "a") == nil)
  }

  // MARK: 6

  @Test("6. A cancelled or timed-out waiter leaves no entry behind")
  func nothingLeft() async throws {
    let clock = ManualClock()
    let registry = Registry(clock: clock)
    let cancelled = Task { try await registry.session(for: "a", deadline: .seconds(60)) }
    let late = Task { try await registry.session(for: "b", deadline: .seconds(5)) }
    #expect(await eventually { registry.count.waiters == 2 && clock.sleepers == 1 })
    cancelled.cancel()
    await #expect(throws: SessionRegistryError.cancelled(id: "a", waited: .zero)) {
      try await cancelled.value
    }
    #expect(registry.count.waiters == 1)
    clock.advance(by: .seconds(5))
    await #expect(
      throws: SessionRegistryError.timedOut(id: "b", waited: .seconds(5), isReserved: false)
    ) { try await late.value }
    #expect(registry.count == SessionRegistryCount(sessions: 0, reservations: 0, waiters: 0))
  }

  @Test("6. One timer serves all deadlines, whatever their order")
  func deadlines() async throws {
    let clock = ManualClock()
    let registry = Registry(clock: clock)
    let ends = Guarded<[Int]>([])
    await withTaskGroup { group in
      for seconds in [40, 10, 30, 20] {
        group.addTask {
          let error = try? await registry.session(for: "a", deadline: .seconds(seconds))
          #expect(error == nil)
          ends.withLock { $0.append(seconds) }
        }
      }
      #expect(await eventually { registry.count.waiters == 4 })
      for count in 1...4 {
        #expect(await eventually { clock.sleepers == 1 })
        clock.advance(by: .seconds(10))
        #expect(await eventually { ends.value.count == count })
      }
    }
    #expect(ends.value == [10, 20, 30, 40])
  }

  @Test("6. A deadline may be as far away as a duration can say")
  func farDeadline() async throws {
    let registry = Registry()
    let session = TestSession()
    async let found = registry.session(for: "a", deadline: .seconds(Int64.max))
    #expect(await eventually { registry.count.waiters == 1 })
    #expect(await always { registry.count.waiters == 1 })
    try activate("a", session, in: registry)
    #expect(try await found === session)
  }

  @Test("6. The error names the id, the time waited and the cause")
  func descriptions() async throws {
    let clock = ManualClock()
    let registry = Registry(clock: clock)
    let reservation = try registry.reserve("berlin")
    let task = Task { try await registry.session(for: "berlin", deadline: .milliseconds(1250)) }
    #expect(await eventually { registry.count.waiters == 1 && clock.sleepers == 1 })
    clock.advance(by: .milliseconds(1250))
    let error = await #expect(throws: SessionRegistryError.self) { try await task.value }
    #expect(
      error?.description
        == "no session berlin after 1.25 s: it has connected, and its handshake has not finished; "
        + "see what that waits for")
    reservation.cancel()
    let absent = SessionRegistryError.timedOut(id: "rome", waited: .zero, isReserved: false)
    #expect(absent.description.hasPrefix("no session rome after 0 ms: nobody has connected"))
  }

  // MARK: 7

  @Test("7. An already cancelled caller still gets a session that is there")
  func cancelledBefore() async throws {
    let registry = Registry()
    let session = TestSession()
    try activate("a", session, in: registry)
    let task = Task {
      try? await Signal().wait()
      #expect(Task.isCancelled)
      let found = try await registry.session(for: "a", deadline: .zero)
      let absent = await Result(awaiting: {
        try await registry.session(for: "b", deadline: .seconds(60))
      })
      return (found, absent)
    }
    task.cancel()
    let (found, absent) = try await task.value
    #expect(found === session)
    #expect(throws: SessionRegistryError.self) { try absent.get() }
  }

  // MARK: 8

  @Test(
    "8. A slow handshake never delays any other id: an unrelated get answers while one hangs")
  func slowHandshake() async throws {
    let registry = Registry()
    let session = TestSession()
    try activate("quick", session, in: registry)
    let hanging = Task {
      try await registry.withReservation("slow") { _ in try await Signal().wait() }
    }
    #expect(await eventually { registry.count.reservations == 1 })
    let waiter = Task { try await registry.session(for: "slow", deadline: .seconds(60)) }
    #expect(await eventually { registry.count.waiters == 1 })
    let duration = try await ContinuousClock().measure {
      #expect(try registry.session(for: "quick") === session)
      #expect(try await registry.session(for: "quick", deadline: .seconds(60)) === session)
      try activate("third", in: registry)
    }
    print("an unrelated id answered after \(duration) while a handshake hung")
    #expect(registry.count == SessionRegistryCount(sessions: 2, reservations: 1, waiters: 1))
    hanging.cancel()
    waiter.cancel()
    _ = await (hanging.result, waiter.result)
  }

  // MARK: 9

  @Test(
    "9. 100 waiters for absent ids and 100 readers of present ones for 2 s: at least 10,000 lookups, no starvation"
  )
  func load() async throws {
    let registry = SessionRegistry<Int, TestSession>()
    for id in 0..<100 { try registry.reserve(id).activate(TestSession()) }
    let (lookups, waits) = (Guarded([Int](repeating: 0, count: 100)), Guarded(Set<Int>()))
    let end = ContinuousClock.now + .seconds(2)
    // On a machine that is too busy for these tasks it goes on until everybody has had a turn.
    let isOver: @Sendable () -> Bool = {
      let now = ContinuousClock.now
      guard now >= end, now < end + .seconds(60) else { return now >= end }
      return waits.value.count == 100
        && lookups.withLock { $0.reduce(0, +) >= 10_000 && $0.allSatisfy { $0 > 0 } }
    }
    await withTaskGroup { group in
      for number in 0..<100 {
        group.addTask {
          while !isOver() {
            let session = try? await registry.session(
              for: 1_000 + number, deadline: .milliseconds(50))
            #expect(session == nil)
            waits.withLock { _ = $0.insert(number) }
          }
        }
        group.addTask {
          while !isOver() {
            var found = 0
            for _ in 0..<10 where (try? registry.session(for: number)) != nil { found += 1 }
            lookups.withLock { $0[number] += found }
            await Task.yield()
          }
        }
      }
    }
    let counts = lookups.value
    print("\(counts.reduce(0, +)) lookups, \(counts.min() ?? 0) by the slowest")
    #expect(counts.reduce(0, +) >= 10_000)
    #expect(counts.allSatisfy { $0 > 0 })
    #expect(waits.value.count == 100)
    #expect(registry.count.waiters == 0)
  }

  // MARK: 10

  @Test(
    "10. shutdown: waiters fail with a clear error, later calls too; sessions are told; idempotent")
  func shutDown() async throws {
    let registry = Registry()
    let session = TestSession()
    try activate("a", session, in: registry)
    let reservation = try registry.reserve("b")
    let waiters = ["b", "c"].map { id in
      Task { try await registry.session(for: id, deadline: .seconds(60)) }
    }
    #expect(await eventually { registry.count.waiters == 2 })
    registry.shutDown()
    for waiter in waiters {
      let error = await #expect(throws: SessionRegistryError.self) { try await waiter.value }
      #expect(error?.description.contains("the registry was shut down") == true)
    }
    registry.shutDown()
    #expect(session.told.value == 1)
    let shut = SessionRegistryError.shutDown(id: "b", waited: .zero)
    await expectFailure(shut) { () async throws(SessionRegistryError) in
      try reservation.activate(TestSession())
    }
    await expectFailure(shut) { () async throws(SessionRegistryError) in
      _ = try registry.reserve("b")
    }
    await expectFailure(shut) { () async throws(SessionRegistryError) in
      _ = try registry.session(for: "b")
    }
    await expectFailure(shut) { () async throws(SessionRegistryError) in
      _ = try await registry.session(for: "b", deadline: .seconds(60))
    }
    #expect(registry.count == SessionRegistryCount(sessions: 0, reservations: 0, waiters: 0))
  }
}
