import TestKit
import Testing

extension ProcessTests {
  @Suite("The demo")
  struct DemoTests {
    @Test("the demo ends with clean ledgers", arguments: TestedBackend.names)
    func once(io: String) async throws {
      let program = try Program(
        try Program.path(of: "fdproxy"), ["demo", "--once", "--seconds", "3", "--io", io])
      defer { program.end() }
      #expect(try await program.waitForExit() == 0, "\(program.transcript)")
      #expect(program.outputText.contains("ledgers: clean\n"))
      #expect(program.errorText.isEmpty, "\(program.errorText)")
    }

    @Test("without --once the demo leaves a proxy that serves until a signal")
    func serve() async throws {
      let program = try Program(try Program.path(of: "fdproxy"), ["demo", "--seconds", "1"])
      defer { program.end() }
      let port = try await program.waitFor("where it serves") { text -> UInt16? in
        guard let found = text.firstRange(of: "serving on http://127.0.0.1:") else { return nil }
        return UInt16(text[found.upperBound...].prefix { $0.isNumber })
      }
      let client = try TestSocket.connected(to: port)
      client.send("GET / HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")
      let answer = client.receiveText(15)
      #expect(answer == "HTTP/1.1 200 OK")
      program.send(2)
      #expect(try await program.waitForExit() == 0)
    }
  }
}
