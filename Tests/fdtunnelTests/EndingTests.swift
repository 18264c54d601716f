import Glibc
import TestKit
import Testing

extension TunnelTests {
  @Suite("Endings and mistakes")
  struct EndingTests {
    @Test(
      "SIGTERM to either side lets a stream finish and takes no more", arguments: [true, false])
    func drain(isServer: Bool) async throws {
      try await withEcho(["--wait", "0.1"]) { tunnel, agent in
        let client = try tunnel.client()
        #expect(client.echoes("before"))
        let program = isServer ? tunnel.server : agent
        program.send(SIGTERM)
        try await program.waitFor("draining")
        let isClosed = await eventually {
          guard let late = try? tunnel.client() else { return true }
          defer { late.close() }
          // One that comes before the server knows is carried.
          return !late.echoes("late")
        }
        #expect(isClosed)
        #expect(client.echoes("after"))
        #expect(!program.hasEnded)
        client.finish()
        #expect(client.receive() == .end)
        #expect(try await program.waitForExit() == 0)
        #expect(!program.errorText.contains("cut off"))
      }
    }

    @Test("a stream that outlasts --drain is reset", arguments: [true, false])
    func cut(isServer: Bool) async throws {
      try await withService { service in
        try await withTunnel(["--drain", "0.2"]) { tunnel in
          let agent = try await tunnel.agent(to: [service.address], ["--drain", "0.2"])
          defer { agent.end() }
          let client = try tunnel.client()
          #expect(client.echoes("hello"))
          let program = isServer ? tunnel.server : agent
          program.send(SIGTERM)
          #expect(client.receive() == .reset)
          #expect(try await program.waitForExit() == 0)
          #expect(program.errorText.contains("cut off"))
        }
      }
    }

    @Test("an agent of a server that is not there dials again, and ends by SIGTERM")
    func noServer() async throws {
      let place = TestSocket.bound(backlog: nil)
      try await withFile("token") { path in
        let agent = try Program(
          try Program.path(of: "fdtunnel"),
          ["agent", "--server", "127.0.0.1:\(place.port)", "--token-file", path]
            + ["--service", "127.0.0.1:9", "--io", TestedBackend.name])
        defer { agent.end() }
        try await agent.waitFor("dialling again")
        agent.send(SIGTERM)
        #expect(try await agent.waitForExit() == 0)
      }
    }

    @Test(
      "a mistake on the command line is one line that says what to do", .epollOnly,
      arguments: [
        (["agent", "--server", "127.0.0.1:1", "--id", "a b"], "letters, digits"),
        (["agent", "--server", "nowhere"], "no port"),
        (["agent", "--server", "a:1", "--token-file", "/dev/null"], "no --service"),
        (["server", "--agents", "127.0.0.1:99999"], "is not a port"),
        (["server", "--agents", "127.0.0.1:1"], "no --clients"),
        (["server", "--agents", ":1", "--clients", ":2"], "who may register"),
        (["server", "--agents", ":1", "--clients", "a/b/c=:2"], "letters, digits"),
        (["server", "--agents", ":1", "--heartbeat", "0"], "more than 0"),
        (["server", "--agents", ":1", "--authorize-url", "https://x"], "https is not spoken"),
      ])
    func mistakes(arguments: [String], text: String) async throws {
      let program = try Program(try Program.path(of: "fdtunnel"), arguments)
      defer { program.end() }
      #expect(try await program.waitForExit() == 2)
      #expect(program.errorText.contains(text))
      #expect(program.errorText.count { $0 == "\n" } == 1)
    }

    @Test("files that are missing, empty or cannot be run are named", .epollOnly)
    func files() async throws {
      try await withFile("\n") { empty in
        for (arguments, text) in [
          (["--token-file", "/nowhere"], "cannot read \"/nowhere\""),
          (["--token-file", empty], "has no token in it"),
          (["--authorize", empty], "not the path of a program"),
        ] {
          let program = try Program(
            try Program.path(of: "fdtunnel"),
            ["server", "--agents", "127.0.0.1:0", "--clients", "127.0.0.1:0"] + arguments)
          defer { program.end() }
          #expect(try await program.waitForExit() == 1)
          #expect(program.errorText.contains(text))
        }
      }
    }
  }
}
