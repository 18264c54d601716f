import TestKit
import Testing

/// The release binary, as a person or a script starts it.
@Suite("fdstress", .serialized)
struct CommandLineTests {
  private func fdstress(_ arguments: String...) async throws -> Child {
    let binary = try Child.releaseBinary("fdstress")
    return try await Ledger.closed { try await Child.run([binary] + arguments) }
  }

  @Test("lists its scenarios")
  func list() async throws {
    let list = try await fdstress("list")
    #expect(list.status == 0)
    #expect(list.output.hasPrefix("takeover-close "))
  }

  @Test("runs one clean, with no descriptor left, and says what it did", arguments: ["2", "12"])
  func run(threads: String) async throws {
    let run = try await fdstress(
      "run", "takeover-close", "--seconds", "2", "--threads", threads, "--seed", "17")
    #expect(run.status == 0, "\(run.output)")
    #expect(run.errors.isEmpty)
    let lines = run.output.split(separator: "\n")
    #expect(lines.first?.hasPrefix("takeover-close: seed 17, \(threads) threads") == true)
    #expect(lines.contains("takeover-close: clean"))
    #expect(lines.last == "seed 17")
    for words in ["takeovers ", "closes by deleter ", "by last leaver ", "stale ", "lost "] {
      #expect(run.output.contains(words))
    }
    // The storm took place.
    #expect(!run.output.contains("takeovers 0,"))
  }

  @Test(
    "runs every scenario for two seconds, clean, and sums them up",
    .enabled(if: !TestRun.isSanitized), arguments: TestedBackend.names)
  func runAll(io: String) async throws {
    let list = try await fdstress("list")
    let names = list.output.split(separator: "\n").compactMap { $0.split(separator: " ").first }
    try #require(names.count >= 12)
    let run = try await fdstress("run", "--seconds", "2", "--io", io, "--threads", "6")
    #expect(run.status == 0, "\(run.output)")
    for name in names {
      #expect(run.output.contains("\n\(name): clean\n"))
      #expect(run.output.contains("\n\(name) "), "the table has a row for each")
    }
  }

  @Test("mixes the scenarios that it is given, and tells programs of each run")
  func mix() async throws {
    let run = try await fdstress(
      "run", "arena", "triangle", "--mix", "--seconds", "6", "--seed", "3", "--json")
    #expect(run.status == 0, "\(run.output)")
    let lines = run.output.split(separator: "\n")
    try #require(lines.count == 2)
    #expect(
      lines[0].contains(#""scenario":"arena""#) && lines[1].contains(#""scenario":"triangle""#))
    for line in lines {
      for field in [#""verdict":"clean""#, #""threads":"#, #""io":"epoll""#, #""seed":"#] {
        #expect(line.contains(field))
      }
    }
  }

  @Test(
    "calls wrong usage a clear line and exit code 2",
    arguments: [
      ["run", "nonesuch"], ["run", "--threads", "0"], ["run", "--threads", "65"],
      ["run", "--threads", "2", "--groups", "3"],
      ["run", "--mix", "--threads", "4"], ["run", "--threads", "x"], ["run", "--seconds", "0"],
      ["run", "--seconds", "-1"],
      ["run", "--seed", "-1"], ["run", "--delay-at", "nowhere"], ["run", "--delay-chance", "2"],
      ["run", "--delay-kinds", "think"], ["run", "--delay-at", "claim,after-leave"],
      ["run", "--nonesuch"], ["nonesuch"],
    ])
  func usage(arguments: [String]) async throws {
    let binary = try Child.releaseBinary("fdstress")
    let run = try await Ledger.closed { try await Child.run([binary] + arguments) }
    #expect(run.status == 2)
    #expect(run.output.isEmpty)
    #expect(run.errors.hasPrefix("Error: "))
  }

  @Test("helps, which is no error")
  func help() async throws {
    let help = try await fdstress("--help")
    #expect(help.status == 0)
    #expect(help.output.contains("list") && help.output.contains("run"))
  }
}
