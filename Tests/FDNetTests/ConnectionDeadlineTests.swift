import FDPoller
import TestKit
import Testing

@testable import FDNet

/// A deadline counts from the beginning of the loop's tick, which is before the call that started
/// it if the machine was busy: hence the halves.
@Suite("Deadlines of a connection", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ConnectionDeadlineTests {
  @Test(
    "a silent connection ends at its idle or read deadline, not before",
    arguments: [ConnectionDeadline.idle, .read])
  func silence(deadline: ConnectionDeadline) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let limit = Duration.milliseconds(80)
      let recorder = Recorder()
      let start = ContinuousClock.now
      let link = try await Link(
        on: poller.loops[0], recorder,
        settings: ConnectionSettings(
          idleDeadline: deadline == .idle ? limit : nil,
          readDeadline: deadline == .read ? limit : nil))
      #expect(await eventually { recorder.isClosed })
      #expect(ContinuousClock.now - start >= limit / 2)
      #expect(recorder.log.closes == [.timedOut(deadline)])
      #expect((try? link.peer.receive())?.isEmpty != false)
    }
  }

  @Test("the earliest of several deadlines counts")
  func earliest() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let link = try await Link(
        on: poller.loops[0], recorder,
        settings: ConnectionSettings(
          idleDeadline: .seconds(60), readDeadline: .milliseconds(50), writeDeadline: .seconds(60)))
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes == [.timedOut(.read)])
      link.peer.close()
    }
  }

  enum Activity: CaseIterable, Sendable {
    case input
    case output
  }

  @Test("activity in either direction puts the idle deadline off", arguments: Activity.allCases)
  func activityPostponesIdle(activity: Activity) async throws {
    try await unlessTooLate {
      try await withTestedPoller(threads: 1) { poller in
        let limit = Duration.milliseconds(400)
        let recorder = Recorder()
        let link = try await Link(
          on: poller.loops[0], recorder, settings: ConnectionSettings(idleDeadline: limit))
        try await keepingBusy(for: limit * 3, with: limit) {
          switch activity {
          case .input: try link.peer.send("x")
          case .output: try await link.call { $0.write("x") }
          }
          return recorder.isClosed
        }
        #expect(await eventually { recorder.isClosed })
        #expect(recorder.log.closes == [.timedOut(.idle)])
      }
    }
  }

  @Test("only input puts the read deadline off")
  func readDeadline() async throws {
    try await unlessTooLate {
      try await withTestedPoller(threads: 1) { poller in
        let limit = Duration.milliseconds(400)
        let recorder = Recorder()
        let link = try await Link(
          on: poller.loops[0], recorder, settings: ConnectionSettings(readDeadline: limit))
        try await keepingBusy(for: limit * 3, with: limit) {
          try link.peer.send("x")
          return recorder.isClosed
        }
        // Output alone does not count.
        #expect(
          await eventually {
            _ = try? await link.call { $0.write("x") }
            return recorder.isClosed
          })
        #expect(recorder.log.closes == [.timedOut(.read)])
      }
    }
  }

  @Test("a paused connection has no read deadline; it begins anew when reading goes on")
  func readDeadlineWhilePaused() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let limit = Duration.milliseconds(60)
      let recorder = Recorder()
      let link = try await Link(
        on: poller.loops[0], recorder, settings: ConnectionSettings(readDeadline: limit)
      ) { $0.pauseReading() }
      #expect(await always(for: limit * 4) { !recorder.isClosed })
      let start = ContinuousClock.now
      try await link.call { $0.resumeReading() }
      #expect(await eventually { recorder.isClosed })
      #expect(ContinuousClock.now - start >= limit / 2)
      #expect(recorder.log.closes == [.timedOut(.read)])
    }
  }

  @Test("a peer that takes nothing of what is queued runs into the write deadline")
  func writeDeadline() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let limit = Duration.milliseconds(60)
      let recorder = Recorder()
      let link = try await Link(
        on: poller.loops[0], recorder, settings: ConnectionSettings(writeDeadline: limit),
        sendBuffer: 4096, receiveBuffer: 4096)
      // With nothing queued there is none, however long nothing is written.
      try await link.call { $0.write("x") }
      #expect(await always(for: limit * 4) { !recorder.isClosed })
      let start = ContinuousClock.now
      try await link.call { $0.write([UInt8](repeating: 1, count: 3 << 20)) }
      // Input is no excuse.
      #expect(
        await eventually {
          try? link.peer.send("x")
          return recorder.isClosed
        })
      #expect(ContinuousClock.now - start >= limit / 2)
      #expect(recorder.log.closes == [.timedOut(.write)])
    }
  }

  @Test("a peer that takes a little now and then puts the write deadline off")
  func slowReader() async throws {
    try await unlessTooLate {
      try await withTestedPoller(threads: 1) { poller in
        let limit = Duration.milliseconds(400)
        let recorder = Recorder()
        let link = try await Link(
          on: poller.loops[0], recorder, settings: ConnectionSettings(writeDeadline: limit),
          sendBuffer: 4096, receiveBuffer: 4096)
        let total = 8 << 20
        var received = 0
        try await link.call { $0.write([UInt8](repeating: 1, count: total)) }
        try await keepingBusy(for: limit * 3, with: limit) {
          // Enough for the peer's kernel to ask for more each time.
          received += try link.peer.receive(exactly: 100_000).count
          return recorder.isClosed
        }
        let rest = total - received
        _ = try await Background { try link.peer.receive(exactly: rest) }.value()
        #expect(await always(for: limit * 2) { !recorder.isClosed })
      }
    }
  }

  @Test("activity sets no timers: one that fires finds out how much is left")
  func timersAreFew() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder.echo()
      let link = try await Link(
        on: poller.loops[0], recorder,
        settings: ConnectionSettings(idleDeadline: .seconds(2), readDeadline: .seconds(9)))
      for _ in 0..<2000 {
        try link.peer.send("ping")
        _ = try link.peer.receive(exactly: 4)
      }
      #expect(recorder.bytes.count == 8000)
      #expect(poller.snapshot().total[.timersFired] < 200)
    }
  }

  /// Acts often enough for the deadline, for so long. `act` says whether the connection is closed:
  /// a failure, unless this thread was too late.
  private func keepingBusy(
    for duration: Duration, with limit: Duration, _ act: () async throws -> Bool
  ) async throws {
    let end = ContinuousClock.now + duration
    var last = ContinuousClock.now
    while ContinuousClock.now < end {
      let isClosed = try await act()
      let gap = ContinuousClock.now - last
      last += gap
      if isClosed {
        #expect(gap > limit / 2, "closed although something happened \(gap) ago")
        throw TooLate()
      }
      try await Task.sleep(for: limit / 20)
    }
  }

  private struct TooLate: Error {}

  private func unlessTooLate(_ body: () async throws -> Void) async throws {
    for _ in 0..<10 {
      do {
        return try await body()
      } catch is TooLate {}
    }
    Issue.record("this machine is too slow for the test")
  }
}
