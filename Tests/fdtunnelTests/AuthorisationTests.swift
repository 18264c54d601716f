import FDCoordination
import FDNet
import FDPoller
import Glibc
import TestKit
import Testing

@testable import fdtunnel

extension TunnelTests {
  @Suite("Authorisation")
  struct AuthorisationTests {
    @Test("a command gets id and token on its standard input, and not where others could see them")
    func command() async throws {
      try await withFile("") { notes in
        let script = """
          { echo "arguments $#"; cat; env; cat /proc/$$/cmdline; } > \(notes)
          """
        try await withScript(script) { path in
          try await withTunnel(authorization: ["--authorize", path]) { tunnel in
            let agent = try await tunnel.agent(to: ["127.0.0.1:9"])
            defer { agent.end() }
            let text = contents(of: notes)
            #expect(text.hasPrefix("arguments 0\na\nopen sesame\n"))
            #expect(text.ranges(of: "sesame").count == 1)
            #expect(!text.contains("FD_BIN_DIR"))
          }
        }
      }
    }

    @Test(
      """
      a command that says no ends the agent; one that fails does not, and its reason is in the log, \
      without the token
      """)
    func commandRefuses() async throws {
      let script = """
        read id; read token
        case $id in b) echo "out of order: $token." >&2; exit 3;; esac; exit 1
        """
      try await withScript(script) { path in
        try await withTunnel(authorization: ["--authorize", path]) { tunnel in
          let refused = try tunnel.dial(to: ["127.0.0.1:9"])
          defer { refused.end() }
          #expect(try await refused.waitForExit() == 1)
          let unknown = try tunnel.dial(to: ["127.0.0.1:9"], id: "b")
          defer { unknown.end() }
          try await unknown.waitFor("the token could not be checked; see the server's log")
          try await tunnel.server.waitFor("with exit code 3: out of order: (token).")
          try await unknown.waitFor("dialling again")
          #expect(!unknown.hasEnded && !unknown.transcript.contains("out of order"))
          #expect(!tunnel.server.transcript.contains("sesame"))
        }
      }
    }

    @Test("a command that hangs delays no other agent, and a server that ends ends it first")
    func commandHangs() async throws {
      try await withHangingCommand(limit: "10m") { tunnel, notes in
        let hanging = try tunnel.dial(to: ["127.0.0.1:9"], id: "b")
        defer { hanging.end() }
        let run = try #require(await nextRun(after: nil, in: notes))
        let agent = try await tunnel.agent(to: ["127.0.0.1:9"])
        defer { agent.end() }
        #expect(!hasEnded(run.leader) && !hasEnded(run.child))
        tunnel.server.send(SIGTERM)
        let code = try await tunnel.server.waitForExit()
        #expect(code == 0)
        #expect(hasEnded(run.leader))
        // Nobody waits for it, but it has been killed.
        let isEnded = await eventually { hasEnded(run.child) }
        #expect(isEnded)
      }
    }

    @Test("a command that takes too long is ended, says nothing about the token, and is run again")
    func commandTimesOut() async throws {
      try await withHangingCommand(limit: "1s") { tunnel, notes in
        let agent = try tunnel.dial(to: ["127.0.0.1:9"], id: "b")
        defer { agent.end() }
        let first = try #require(await nextRun(after: nil, in: notes))
        try await agent.waitFor("the authorisation timed out after 1.0 seconds")
        // And what it has started.
        let isEnded = await eventually { hasEnded(first.leader) && hasEnded(first.child) }
        #expect(isEnded)
        #expect(await nextRun(after: first, in: notes) != nil)
        #expect(!agent.hasEnded && !agent.transcript.contains("not valid"))
      }
    }

    private func withHangingCommand(
      limit: String, _ body: (Tunnel, String) async throws -> Void
    ) async throws {
      try await withFile("") { notes in
        let script = "read id; case $id in b) sleep 600 & echo $$ $! > \(notes); wait;; esac"
        try await withScript(script) { path in
          let flags = ["--authorize", path, "--authorize-timeout", limit]
          try await withTunnel(authorization: flags) { tunnel in try await body(tunnel, notes) }
        }
      }
    }

    private struct HangingRun: Equatable {
      let leader: pid_t
      /// What the command has started.
      let child: pid_t
    }

    /// A run of the hanging command, as soon as it has begun.
    private func nextRun(after last: HangingRun?, in notes: String) async -> HangingRun? {
      var run: HangingRun?
      _ = await eventually {
        let text = contents(of: notes)
        let numbers = text.dropLast().split(separator: " ").compactMap { pid_t($0) }
        guard text.hasSuffix("\n"), numbers.count == 2 else { return false }
        run = HangingRun(leader: numbers[0], child: numbers[1])
        return run != last
      }
      return run == last ? nil : run
    }

    @Test("agents that come together with one id and token make one call")
    func storm() async throws {
      try await withFile("") { notes in
        try await withScript("cat > /dev/null; sleep 0.5; echo call >> \(notes)") { path in
          try await withTunnel(authorization: ["--authorize", path]) { tunnel in
            let verdicts = try await verdicts(of: 30, tunnel)
            #expect(verdicts.count { $0 == .welcome } == 1)
            #expect(verdicts.count { "\($0)".contains("connected already") } == 29)
            #expect(contents(of: notes) == "call\n")
          }
        }
      }
    }

    private func verdicts(of count: Int, _ tunnel: Tunnel) async throws -> [Verdict] {
      let port = tunnel.agentPort
      return try await withPoller(threads: 1) { poller in
        let loop = poller.loops[0]
        let links = try await withThrowingTaskGroup(of: MultiplexedConnection.self) { group in
          for _ in 0..<count {
            group.addTask {
              try await MultiplexedConnection.connect(to: .loopback(port: port), on: loop)
            }
          }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        defer { for link in links { link.close() } }
        // A control stream that is let go of is the end of its session.
        let answers = try await withThrowingTaskGroup(
          of: (control: MultiplexedStream, verdict: Verdict?).self
        ) { group in
          for link in links {
            group.addTask {
              let control = try link.open(Greeting(SessionID("a")!).bytes)
              try await control.send(Array("open sesame".utf8))
              return (control, Verdict(parsing: try await control.receive() ?? []))
            }
          }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        return withExtendedLifetime(answers) { answers.compactMap(\.verdict) }
      }
    }

    @Test(
      "an HTTP server says by its status whether an agent may register",
      arguments: [(200, "registered as a"), (403, "not valid for a"), (500, "the server's log")])
    func http(status: Int, text: String) async throws {
      let listener = TestSocket.bound(backlog: 8)
      let request = Guarded("")
      let server = Worker {
        guard let client = try? listener.accept() else { return }
        var head = ""
        while !head.hasSuffix("open sesame"), case .bytes(let bytes) = client.receive() {
          head += String(decoding: bytes, as: UTF8.self)
        }
        request.value = head
        client.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 \(status) So\r\nContent-Le")
        client.send("ngth: 2\r\n\r\nok")
      }
      defer { server.join() }
      let url = "http://127.0.0.1:\(listener.port)/check?x=1"
      try await withTunnel(authorization: ["--authorize-url", url]) { tunnel in
        let agent = try tunnel.dial(to: ["127.0.0.1:9"])
        defer { agent.end() }
        try await agent.waitFor(text)
        #expect(request.value.hasPrefix("POST /check?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"))
        #expect(request.value.contains("\r\nTunnel-Id: a\r\n"))
        if status == 403 { #expect(try await agent.waitForExit() == 1) }
        if status == 500 { try await tunnel.server.waitFor("answered with status 500") }
      }
    }

    @Test("an HTTP server that does not answer is an error, and no refusal")
    func httpHangs() async throws {
      let listener = TestSocket.bound(backlog: 8)
      let flags = ["--authorize-url", "http://127.0.0.1:\(listener.port)", "--authorize-timeout"]
      try await withTunnel(authorization: flags + ["300ms"]) { tunnel in
        let agent = try tunnel.dial(to: ["127.0.0.1:9"])
        defer { agent.end() }
        try await agent.waitFor("the authorisation timed out")
        #expect(!agent.hasEnded && !agent.transcript.contains("not valid"))
      }
    }

    @Test("a token is taken out of what was written, and so is the part at an end that was cut off")
    func redaction() throws {
      let token = try #require(AgentToken(Array("sesame".utf8)))
      for (text, redacted) in [
        ("open sesame.sesame!\n", "open (token).(token)!\n"), ("se sesa\nses", "se sesa\n"),
        ("sesesame", "se(token)"), ("nothing\n", "nothing\n"), ("", ""),
      ] {
        #expect(token.redacted(Array(text.utf8)) == Array(redacted.utf8))
      }
    }

    /// Whether or not anybody has reaped it.
    private func hasEnded(_ pid: pid_t) -> Bool {
      let state = contents(of: "/proc/\(pid)/stat").split(separator: ")").last?.dropFirst().first
      return state == nil || state == "Z"
    }
  }
}
