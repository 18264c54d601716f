import Foundation
import TestKit
import Testing

/// The release binary, as a person or a script starts it.
@Suite("fdstress explore")
struct ExploreCommandTests {
  private func explore(_ arguments: [String]) async throws -> Child {
    try await Child.run(
      [try Child.releaseBinary("fdstress"), "explore"] + arguments, within: .seconds(600))
  }

  private struct Line: Decodable {
    let scenario, model, verdict: String
    let threads, executions, states: Int
    let reason, replay: String?
    let story: [String]?
  }

  private func lines(_ arguments: [String]) async throws -> [Line] {
    let child = try await explore(arguments + ["--json"])
    return try child.output.split(separator: "\n").map {
      try JSONDecoder().decode(Line.self, from: Data($0.utf8))
    }
  }

  @Test(
    "proves word, mailbox, parking, pool and coordination with two and three threads, each to its end"
  )
  func proof() async throws {
    let lines = try await lines(["--all", "--brief"])
    #expect(lines.allSatisfy { $0.verdict == "proved" })
    // Every mix of two and of three of nine roles, for one owner and for several; the inserts, alone
    // and with two roles; and the handle with the same low bits.
    let others = ["mailbox:", "parking:", "pool:", "registry:", "flight:", "cache:"]
    let word = lines.filter { line in !others.contains(where: line.scenario.hasPrefix) }
    for model in ["sc", "c11"] {
      let names = word.filter { $0.model == model }.map(\.scenario)
      #expect(names.count == 2 * (45 + 165) + 2 * 3 + 1 && Set(names).count == names.count)
      for prefix in others {
        #expect(lines.contains { $0.scenario.hasPrefix(prefix) && $0.model == model })
      }
    }
    #expect(Set(lines.map(\.threads)) == [2, 3])
  }

  @Test("exits with 0 if a scenario is proved, and gives its figures")
  func proved() async throws {
    let child = try await explore(["shared:event+delete", "--model", "c11"])
    #expect(child.status == 0)
    #expect(child.output.hasPrefix("shared:event+delete (c11): proved; 2 threads, "))
    for figure in ["executions", "states", "steps"] { #expect(child.output.contains(figure)) }
  }

  @Test("exits with 1 for a violation, and its last line repeats it")
  func violation() async throws {
    let child = try await explore(["--defect", "DOUBLE_LAST"])
    #expect(child.status == 1)
    #expect(child.output.contains("VIOLATION: two threads run the orphan deletion"))
    let again = try #require(child.output.split(separator: "\n").last)
    let words = again.split(separator: " ").map(String.init)
    #expect(words.prefix(3) == ["again:", "fdstress", "explore"])
    let repeated = try await explore(Array(words.dropFirst(3)))
    #expect(repeated.status == 1)
    let story = { (child: Child) in
      child.output.split(separator: "\n").filter { $0.contains("event 0") }
    }
    #expect(story(repeated) == story(child) && !story(child).isEmpty)
  }

  @Test("tells programs in one object a line what it tells people")
  func objects() async throws {
    let found = try await lines(["event+takeover", "--defect", "TAKEOVER_IN_GAP", "--model", "sc"])
    #expect(found.map(\.verdict) == ["violation"])
    #expect(found.first?.reason != nil && found.first?.replay != nil)
    #expect(found.first?.story?.isEmpty == false)
    let proved = try await lines(["event+takeover"])
    #expect(
      proved.map(\.verdict) == ["proved", "proved"] && Set(proved.map(\.model)) == ["sc", "c11"])
  }

  @Test(
    "exits with 3 if not everything was explored",
    arguments: [
      ["event+delete", "--preemptions", "1"], ["event+delete", "--model", "sc", "--replay", "0.1"],
    ])
  func notExhausted(arguments: [String]) async throws {
    let child = try await explore(arguments)
    #expect(child.status == 3)
    #expect(child.output.contains("not exhausted, "))
  }

  @Test(
    "calls wrong usage a clear line and exit code 2",
    arguments: [
      [], ["nonesuch"], ["event+"], ["event", "event"], ["event+delete", "--model", "x86"],
      ["event+delete", "--defect", "NONESUCH"], ["delete+delete", "--protocol", "split-mask"],
      ["event+delete", "--defect", "DOUBLE_LAST", "--protocol", "one-word"],
      ["event+delete", "--preemptions", "-1"], ["event+delete", "--replay", "0.1"],
      ["event+delete", "--model", "sc", "--replay", "0..1"], ["--all", "event+delete"], ["--brief"],
      ["--all", "--replay", "0"], ["--all", "--model", "tso"], ["--all", "--preemptions", "1"],
      ["--list", "event"], ["--list", "--json"], ["insert+delete"],
      ["mailbox:1x1", "--protocol", "split-mask"],
    ])
  func usage(arguments: [String]) async throws {
    let child = try await explore(arguments)
    #expect(child.status == 2 && child.output.isEmpty)
    #expect(child.errors.hasPrefix("Error: "))
  }

  @Test("lists roles, defects and the scenarios with names of their own")
  func list() async throws {
    let child = try await explore(["--list"])
    #expect(child.status == 0)
    for name in [
      "delete-inside", "STALE_T_LEAK", "mailbox:2x1", "pool:1:check-out+steal",
      "registry:client+agent", "incident:clean-up-by-id",
    ] {
      #expect(child.output.contains(name))
    }
  }
}
