import TestKit
import Testing

@Suite("Examples of the articles", .serialized)
struct ArticleTests {
  private func lines(of program: String) async throws -> [Substring] {
    let binary = try Child.releaseBinary(program)
    let run = try await Ledger.closed { try await Child.run([binary]) }
    #expect(run.status == 0)
    return run.output.split(separator: "\n")
  }

  @Test("a session is found, one question is asked for a hundred callers, each resource is stopped")
  func coordination() async throws {
    let lines = try await lines(of: "Coordination")
    #expect(
      lines.sorted() == [
        "admin: true", "asked the authority 1 time", "found berlin", "guest: false",
        "unloaded admin", "unloaded guest",
      ])
  }

  @Test("what is sent on a stream comes back")
  func streams() async throws {
    #expect(try await lines(of: "TwoPeers") == ["1000000 bytes came back"])
  }
}
