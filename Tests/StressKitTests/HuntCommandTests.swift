import TestKit
import Testing

/// The release binary, as a person or a script starts it.
@Suite("fdstress hunt", .serialized)
struct HuntCommandTests {
  private func fdstress(_ arguments: [String]) async throws -> Child {
    let binary = try Child.releaseBinary("fdstress")
    return try await Ledger.closed { try await Child.run([binary] + arguments) }
  }

  /// Two that show without delays on a busy machine too.
  @Test(
    "finds a defect, and names its step",
    arguments: [
      ("DOUBLE_LAST", "mark: SplitMaskCustody.enter, "),
      ("CAS_FORCES", "take-threads: SplitMaskCustody.takeOver, "),
    ])
  func found(_ defect: String, _ step: String) async throws {
    let hunt = try await fdstress(["hunt", "--defect", defect, "--seconds", "60", "--seed", "7"])
    #expect(hunt.status == 1, "\(hunt.output)")
    #expect(hunt.errors.isEmpty)
    let lines = hunt.output.split(separator: "\n")
    #expect(lines.contains { $0.hasPrefix("  BROKEN ") && $0.contains("thread mask") })
    #expect(lines.contains { $0.hasPrefix("\(defect): found after ") })
    #expect(lines.contains { $0.hasPrefix("  the step: \(step)") })
    #expect(lines.contains { $0.hasPrefix("    arena-") })
    #expect(lines.last == "seed 7")
  }

  @Test("tells programs the same")
  func json() async throws {
    let hunt = try await fdstress(
      ["hunt", "--defect", "double-last", "--seconds", "60", "--json"])
    #expect(hunt.status == 1)
    #expect(hunt.output.split(separator: "\n").count == 1)
    #expect(hunt.output.contains(#""isFound":true"#))
  }

  @Test(
    "the same run is clean with the defect cured, and with one word",
    arguments: [["takeover-close", "--protocol", "split-mask"], ["arena"]])
  func clean(_ arguments: [String]) async throws {
    let run = try await fdstress(["run"] + arguments + ["--threads", "6", "--seconds", "2"])
    #expect(run.status == 0, "\(run.output)")
    #expect(run.output.contains("\(arguments[0]): clean"))
  }

  @Test("run finds a defect that it is given")
  func run() async throws {
    let run = try await fdstress(
      [
        "run", "takeover-close", "--protocol", "split-mask", "--defect", "CAS_FORCES",
        "--seconds", "60",
      ])
    #expect(run.status == 1)
    #expect(run.output.contains("takeover-close: violated, found after "))
  }

  @Test("lists the defects")
  func list() async throws {
    let list = try await fdstress(["list", "--defects"])
    #expect(list.status == 0)
    for defect in ["DOUBLE_LAST ", "RELAXED_PAIR ", "DEL_WAITS ", "STALE_EVENT "] {
      #expect(list.output.contains(defect))
    }
  }

  @Test(
    "calls wrong usage a clear line and exit code 2",
    arguments: [
      ["hunt"], ["hunt", "--defect", "nonesuch"], ["hunt", "--all", "--defect", "DOUBLE_LAST"],
      ["hunt", "--all", "--seconds", "0"], ["hunt", "--all", "--io", "select"],
      ["run", "takeover-close", "--defect", "DOUBLE_LAST"],
      ["run", "takeover-close", "--protocol", "split-mask", "--defect", "STALE_EVENT"],
      ["run", "takeover-close", "--protocol", "split-mask", "--threads", "17"],
      ["run", "takeover-close", "--protocol", "three-words"],
      ["list", "--points", "--defects"],
    ])
  func usage(_ arguments: [String]) async throws {
    let run = try await fdstress(arguments)
    #expect(run.status == 2)
    #expect(run.errors.hasPrefix("Error: "))
  }
}
