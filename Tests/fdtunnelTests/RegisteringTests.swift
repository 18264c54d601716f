import FDCoordination
import FDNet
import FDPoller
import Glibc
import TestKit
import Testing

@testable import fdtunnel

extension TunnelTests {
  @Suite("Registering")
  struct RegisteringTests {
    @Test("a client that comes first waits for its agent, and loses nothing")
    func clientFirst() async throws {
      try await withService { service in
        try await withTunnel { tunnel in
          let client = try tunnel.client()
          #expect(client.send("early "))
          let agent = try await tunnel.agent(to: [service.address])
          defer { agent.end() }
          #expect(client.send("bird"))
          #expect(client.receiveText(10) == "early bird")
        }
      }
    }

    @Test("a client whose agent does not come in time is reset, and the log says why")
    func noAgent() async throws {
      try await withTunnel(["--wait", "0.2"]) { tunnel in
        #expect(try tunnel.client().receive() == .reset)
        try await tunnel.server.waitFor("no agent a has registered within 0.2 seconds")
      }
    }

    @Test("an agent with a bad token ends with 1 and says so")
    func badToken() async throws {
      try await withTunnel { tunnel in
        try await withFile("guess") { path in
          let agent = try tunnel.dial(to: ["127.0.0.1:9"], tokenPath: path)
          defer { agent.end() }
          #expect(try await agent.waitForExit() == 1)
          #expect(agent.errorText.contains("refuses agent a: the token is not valid for a"))
          try await tunnel.server.waitFor("agent refused")
          #expect(!tunnel.server.transcript.contains("guess"))
        }
      }
    }

    @Test("a second agent with the same id is told so, and registers when the first is gone")
    func duplicate() async throws {
      try await withEcho { tunnel, first in
        let second = try tunnel.dial(to: ["127.0.0.1:9"])
        defer { second.end() }
        try await second.waitFor("session a is connected already")
        #expect(try tunnel.client().echoes("the first one"))
        first.send(SIGKILL)
        try await second.waitFor("registered as a")
      }
    }

    @Test("an agent that was killed is replaced by its successor, and its clients are reset")
    func killed() async throws {
      try await withService { service in
        try await withTunnel { tunnel in
          let first = try await tunnel.agent(to: [service.address])
          defer { first.end() }
          let client = try tunnel.client()
          #expect(client.echoes("hello"))
          first.send(SIGKILL)
          #expect(client.receive() == .reset)
          try await tunnel.server.waitFor("agent has vanished")
          let second = try await tunnel.agent(to: [service.address])
          defer { second.end() }
          #expect(try tunnel.client().echoes("again"))
        }
      }
    }

    @Test(
      """
      an agent that stands still is noticed within the heartbeat's bound: its clients are reset, \
      and it registers anew when it goes on
      """)
    func stopped() async throws {
      let heartbeat = Duration.milliseconds(400)
      try await withEcho(["--heartbeat", "400ms"]) { tunnel, agent in
        let reading = try tunnel.client()
        let stuck = try tunnel.client()
        #expect(reading.echoes("hello") && stuck.echoes("hello"))
        // It does not read its answer, so nothing can be written to it.
        stuck.setDeadline(seconds: 0.2)
        let bytes = pattern(1 << 20)
        while bytes.withUnsafeBytes({ stuck.send($0) }) {}
        let began = ContinuousClock.now
        agent.send(SIGSTOP)
        #expect(reading.receive() == .reset)
        let took = ContinuousClock.now - began
        print("a stopped agent was noticed after \(took), of \(heartbeat * 3)")
        #expect(took >= heartbeat)
        try await tunnel.server.waitFor("the peer has vanished")
        let isReset = await eventually { !stuck.send("x") }
        #expect(isReset)
        agent.send(SIGCONT)
        _ = try await agent.waitFor("a second registration") { text in
          text.ranges(of: "registered as a").count == 2 ? () : nil
        }
        #expect(try tunnel.client().echoes("once more"))
      }
    }

    @Test("who speaks something else is shown out, and nobody else notices")
    func strangers() async throws {
      try await withEcho { tunnel, _ in
        let stranger = try TestSocket.connected(to: tunnel.agentPort)
        #expect(stranger.send("GET / HTTP/1.1\r\nHost: me\r\n\r\n"))
        #expect(await eventually { stranger.receive() == .reset || !stranger.send("x") })
        #expect(try tunnel.client().echoes("hello"))
      }
    }

    @Test("a greeting of another version, or without a proper id, is refused for good")
    func greetings() throws {
      #expect(try Greeting(parsing: Greeting(.ordinary).bytes).id == .ordinary)
      var later = Greeting(.ordinary).bytes
      later[3] = 9
      for (bytes, text) in [
        (later, "version 9"), (Array("FDT\u{1}a b".utf8), "the id is"), ([], "no greeting"),
        (Array("FDT\u{1}".utf8), "the id is"),
      ] {
        let refusal = #expect(throws: Refusal.self) { try Greeting(parsing: bytes) }
        #expect(refusal?.description.contains(text) == true && refusal?.isForNow == false)
      }
      for verdict in [Verdict.welcome, .refused(.forGood("no")), .refused(.forNow("later"))] {
        #expect(Verdict(parsing: verdict.bytes) == verdict)
      }
      #expect(
        Verdict(parsing: [1] + Array("a\u{1b}[31m\nb".utf8)) == .refused(.forGood("a [31m b")))
      #expect(Verdict(parsing: []) == nil && Verdict(parsing: [7]) == nil)
      let opening = StreamOpening(service: .ordinary, client: "127.0.0.1:1")
      #expect(StreamOpening(parsing: opening.bytes) == opening)
      #expect(StreamOpening(parsing: Array("no such thing".utf8)) == nil)
    }
  }
}
