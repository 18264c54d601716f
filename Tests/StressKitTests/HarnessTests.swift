import FDAtomics
import FDDelays
import FDPoller
import StressKit
import TestKit
import Testing

/// A run tells what it is there to tell: each of these scenarios has one thing wrong.
@Suite("A stress run", .serialized, .ledger)
struct HarnessTests {
  private func run(
    _ scenario: any StressScenario.Type, for duration: Duration = .seconds(60)
  ) async throws -> StressReport {
    var parameters = StressParameters(duration: duration, threads: 2, seed: 9)
    parameters.patience = .milliseconds(500)
    return try await Storm.run(scenario, parameters)
  }

  /// What they have in common: nothing.
  private class Quiet: StressScenario {
    class var name: String { "quiet" }
    class var summary: String { "does nothing" }
    let stage: Stage

    required init(_ stage: Stage) throws { self.stage = stage }
    func begin() throws {}
    func calm() {}
    func audit() {}
    func end() {}
  }

  private final class Heartless: Quiet {
    override func begin() { _ = stage.heartbeat("a heart that does not beat") }
  }

  @Test("calls whoever does nothing any more by its name, which is no progress")
  func heartless() async throws {
    let report = try await run(Heartless.self)
    #expect(report.verdict == .noProgress)
    #expect(report.complaints == ["a heart that does not beat does nothing any more"])
    #expect(report.timeToDetection != nil)
  }

  private final class Restless: Quiet {
    override func begin() { stage.violate("a storm is needed", "none") }
    override func calm() { stage.wait(for: "it never comes", until: { false }) }
  }

  @Test("calls a violation a violation, even if something hangs after it")
  func restless() async throws {
    let report = try await run(Restless.self)
    #expect(report.verdict == .violated)
    #expect(report.complaints == ["a storm is needed: none", "it never comes"])
  }

  private final class Careless: Quiet {
    override func begin() throws {
      try stage.makePoller().start()
      stage.startThread("culprit") { [stage] _ in
        Chronicle.note("lets go of", 7)
        stage.violate("a descriptor is held", "it is not", FDHandle(rawValue: 7))
      }
    }
  }

  @Test("says which ledger, which descriptor in words, and what the threads did last")
  func careless() async throws {
    let report = try await run(Careless.self)
    #expect(report.verdict == .violated)
    let complaint = try #require(report.complaints.first)
    #expect(complaint.hasPrefix("a descriptor is held: it is not; met by fd "))
    #expect(complaint.contains(", now fd "))
    #expect(report.threads.contains("culprit:"))
    #expect(report.threads.contains { $0.hasSuffix("us ago  lets go of fd 7 (generation 0)") })
  }

  private final class Spendthrift: Quiet {
    override func begin() {
      let ledger = stage.ledger("what comes in goes out")
      ledger.open()
      ledger.open()
      ledger.close()
    }
  }

  @Test("does not let a ledger pass that does not balance")
  func spendthrift() async throws {
    let report = try await run(Spendthrift.self, for: .milliseconds(20))
    #expect(report.verdict == .violated)
    #expect(report.complaints == ["what comes in goes out: 2 and 1"])
  }

  private final class Forgetful: Quiet {
    override func begin() throws {
      _ = try stage.makePoller()
      throw StressError.unsuitable("it cannot begin")
    }
  }

  @Test("stops the pollers of a scenario that cannot begin, and says why it cannot")
  func forgetful() async throws {
    await #expect(throws: StressError.unsuitable("it cannot begin")) {
      try await run(Forgetful.self)
    }
  }

  @Test("draws the same numbers for the same seed and name, and others for others")
  func seeds() {
    func numbers(_ seed: UInt64, _ name: String) -> [UInt64] {
      var random = SplitMix(seed: seed, name: name)
      return (0..<8).map { _ in random.next() }
    }
    #expect(numbers(1, "stress-0") == numbers(1, "stress-0"))
    #expect(numbers(1, "stress-0") != numbers(1, "stress-1"))
    #expect(numbers(1, "stress-0") != numbers(2, "stress-0"))
  }

  private final class Slow: Quiet {
    override func begin() {
      stage.startThread("slow") { [stage] _ in
        ThreadDelays.pass("between two steps")
        stage.count("operations").add()
      }
    }
  }

  @Test("makes threads lose time where its plan says so, and nowhere else")
  func delays() async throws {
    func operations(_ points: Set<DelayPoint>) async throws -> Int {
      var parameters = StressParameters(duration: .milliseconds(300), threads: 2, seed: 9)
      if !points.isEmpty {
        parameters.delays = DelayPlan(
          at: points, chance: 1, sleepMicroseconds: 10_000, kinds: [.sleep])
      }
      let report = try await Storm.run(Slow.self, parameters)
      #expect(report.verdict == .clean)
      return try #require(report.counts.first { $0.name == "operations" }).value
    }
    // A sleep is never too short: 30 of 10 ms are as many as there is room for, and a few for the
    // end of the storm, which may be late by seconds. Without them there are thousands.
    let (with, without) = (try await operations([.own]), try await operations([]))
    #expect(with > 0 && without > 10 * with)
  }
}
