import TestKit
import Testing

/// The release binary, as a person or a script starts it.
@Suite("fdstress wedge", .serialized)
struct WedgeCommandTests {
  private func fdstress(_ arguments: [String]) async throws -> Child {
    let binary = try Child.releaseBinary("fdstress")
    return try await Ledger.closed { try await Child.run([binary] + arguments) }
  }

  @Test("helps, which is no error, and names its wedges")
  func help() async throws {
    let help = try await fdstress(["wedge", "--help"])
    #expect(help.status == 0 && help.errors.isEmpty)
    for word in ["--sessions", "--bound", "--check-ratio", "--without-network", "Exit codes"] {
      #expect(help.output.contains(word))
    }
    let list = try await fdstress(["list", "--wedges"])
    #expect(list.status == 0)
    for wedge in ["authorisation", "registry", "cache", "stream", "heartbeat"] {
      #expect(list.output.contains("\(wedge) "))
    }
  }

  @Test(
    "calls wrong usage a clear line and exit code 2",
    arguments: [
      (["nonesuch"], "there is no wedge nonesuch; fdstress list --wedges tells which there are"),
      (["--sessions", "0"], "--sessions 0 is not 1 to 10000"),
      (["--sessions", "x"], "'x' is invalid for '--sessions"),
      (["--rate", "0"], "--rate 0.0 is not 1 to 1000"),
      (["--phase", "0"], "--phase 0.0 is not above 0"),
      (["--phase", "nan"], "--phase nan is not above 0"),
      (["--pairs", "0"], "--pairs 0 is not 1 to 1000"),
      (["--bound", "-1"], "--bound"),
      (["--io", "select"], "'select' is invalid for '--io"),
      (["--shape", "square"], "'square' is invalid for '--shape"),
      (["--nonesuch"], "Unknown option '--nonesuch'"),
    ])
  func usage(_ arguments: [String], _ words: String) async throws {
    let run = try await fdstress(["wedge"] + arguments)
    #expect(run.status == 2 && run.output.isEmpty)
    let line = try #require(run.errors.split(separator: "\n").first)
    #expect(line.hasPrefix("Error: ") && line.contains(words))
  }
}
