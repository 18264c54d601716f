import SplitMask
import StressKit
import TestKit
import Testing

/// Threads without loops, in this process: what ThreadSanitizer sees.
@Suite("The stress scenario arena", .serialized, .ledger)
struct ArenaTests {
  @Test(
    "is clean by the one word and by the cured split-mask protocol",
    arguments: [CustodyProtocol.oneWord, .splitMask(nil)], [2, 9])
  func clean(_ custody: CustodyProtocol, threads: Int) async throws {
    var parameters = StressParameters(
      duration: .seconds(2), threads: threads, seed: .random(in: 0 ... .max))
    parameters.custody = custody
    let report = try await Storm.run(Arena.self, parameters)
    #expect(report.verdict == .clean, "seed \(parameters.seed): \(report.complaints)")
    for name in ["takeovers", "nested events", "closes by deleter", "closes by last leaver"] {
      #expect(report.counts.contains { $0.name == name && $0.value > 0 }, "\(name)")
    }
  }

  @Test("has threads of several groups by the one word")
  func groups() async throws {
    let report = try await Storm.run(
      Arena.self, StressParameters(duration: .seconds(1), threads: 40, seed: 1))
    #expect(report.verdict == .clean, "\(report.complaints)")
  }

  @Test("refuses more threads than the masks have bits, and fewer than two")
  func refusals() {
    var parameters = StressParameters(duration: .seconds(1), threads: 17, seed: 1)
    parameters.custody = .splitMask(nil)
    #expect(throws: StressError.self) { try StressRun.run(Arena.self, parameters) }
    parameters.threads = 1
    #expect(throws: StressError.self) { try StressRun.run(Arena.self, parameters) }
  }

  @Test(
    "with delays every defect of the split-mask protocol that this machine can show is found",
    .enabled(if: StressParameters.delaysAreBuiltIn),
    arguments: HuntCatalogue.builtIn.filter { $0.doubt == nil }.map(\.defect))
  func found(_ defect: String) async throws {
    let hunt = try #require(HuntCatalogue.hunt(defect))
    let outcome = Guarded<Result<Hunt.Outcome, any Error>?>(nil)
    await Crew.run(1) { _ in
      outcome.value = Result {
        try hunt.run(for: .seconds(60), seed: 1) { $0.countsDescriptors = false }
      }
    }
    let found = try #require(outcome.value).get()
    #expect(found.report.verdict == .violated)
  }

  @Test("every hunt has a scenario, a step and a name of its own")
  func catalogue() {
    let hunts = HuntCatalogue.hunts
    #expect(Set(hunts.map(\.defect)).count == hunts.count)
    for hunt in hunts {
      #expect(!hunt.place.isEmpty && !hunt.summary.isEmpty)
      #expect(HuntCatalogue.hunt(hunt.defect.lowercased())?.defect == hunt.defect)
    }
    #expect(HuntCatalogue.builtIn.map(\.defect) == SplitMaskDefect.allCases.map(\.rawValue))
    #expect(HuntCatalogue.hunt("double-last")?.defect == "DOUBLE_LAST")
    #expect(HuntCatalogue.hunt("nonesuch") == nil)
  }
}
