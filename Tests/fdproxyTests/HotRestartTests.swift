import FDNet
import Glibc
import TestKit
import Testing

@testable import ReverseProxy

extension ProcessTests {
  @Suite("Hot restart", .everyBackend)
  struct HotRestartTests {
    /// What the processes of one test have in common.
    struct Site: ~Copyable {
      let folder: String
      let port: UInt16

      init() {
        var template = Array("/tmp/fdproxy-test-XXXXXX".utf8CString)
        guard let path = mkdtemp(&template) else { preconditionFailure("no folder in /tmp") }
        folder = String(cString: path)
        port = TestSocket.bound(backlog: nil).port
      }

      deinit {
        for name in ["takeover", "unix", "file"] { unlink(folder + "/" + name) }
        rmdir(folder)
      }

      var takeover: String { folder + "/takeover" }
      var unix: String { folder + "/unix" }
      var tcp: String { "127.0.0.1:\(port)" }

      func arguments(
        _ backend: AnsweringOrigin, listen: [String]? = nil, _ more: String...
      ) -> [String] {
        ["--io", TestedBackend.name, "--takeover", takeover, "--backend", backend.address]
          + (listen ?? [tcp]).flatMap { ["--listen", $0] } + more
      }
    }

    private func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    private func ask(_ path: String, at port: UInt16) throws -> String? {
      try HTTPClient(to: port).get(path)
    }

    @Test("three in a row under load refuse nobody, and each request has its answer")
    func underLoad() async throws {
      let site = Site()
      let origins = try [AnsweringOrigin("first"), AnsweringOrigin("second")]
      defer { for origin in origins { origin.stop() } }
      var proxy = try await Proxy(site.arguments(origins[0], "--threads", "2"))
      defer { proxy.end() }
      let load = HTTPLoad(at: site.port)
      try await load.run {
        for (threads, origin) in [(3, 1), (1, 0), (2, 1)] {
          await load.goOn()
          let (slow, isUnderWay, port) = (Guarded<String?>(nil), Tally(), site.port)
          let asking = Worker {
            guard let client = try? HTTPClient(to: port) else { return }
            _ = try? client.get("/")
            isUnderWay.add()
            slow.value = try? client.get("/slow")
          }
          #expect(await eventually { isUnderWay.value == 1 })
          await load.goOn(20)
          let next = try await Proxy(site.arguments(origins[origin], "--threads", "\(threads)"))
          let code = try await proxy.program.waitForExit()
          #expect(code == 0, "\(proxy.program.errorText)")
          #expect(!proxy.program.errorText.contains("cut off"))
          asking.join()
          #expect(
            slow.value?.hasSuffix(" /slow\n") == true, "under way: \(slow.value ?? "nothing")")
          proxy = next
          #expect(try ask("/x", at: site.port) == "\(["first", "second"][origin]) /x\n")
        }
        await load.goOn()
      }
      #expect(load.failures.value == [])
      print("hot restart: \(load.answers.value) answers, \(load.crossed.value) requests repeated")
      proxy.program.send(SIGTERM)
      #expect(try await proxy.program.waitForExit() == 0)
      #expect(!exists(site.takeover))
    }

    @Test("listeners that the successor's configuration has not are closed, others stay or come")
    func otherListeners() async throws {
      let site = Site()
      let origin = try AnsweringOrigin("origin")
      defer { origin.stop() }
      let other = "127.0.0.1:\(TestSocket.bound(backlog: nil).port)"
      let old = try await Proxy(
        site.arguments(origin, listen: [site.tcp, "unix:" + site.unix], "--threads", "2"))
      defer { old.end() }
      let middle = try await Proxy(site.arguments(origin, listen: ["unix:" + site.unix, other]))
      defer { middle.end() }
      #expect(try await old.program.waitForExit() == 0)
      #expect(middle.program.errorText.contains("address=\(site.tcp)"))
      #expect(try HTTPClient(toPath: site.unix).get("/a") == "origin /a\n")
      #expect(throws: (any Error).self) { try ask("/b", at: site.port) }

      let new = try await Proxy(site.arguments(origin, listen: [other, site.tcp]))
      defer { new.end() }
      #expect(try await middle.program.waitForExit() == 0)
      #expect(!exists(site.unix))
      #expect(try ask("/c", at: site.port) == "origin /c\n")
      #expect(try ask("/d", at: new.port) == "origin /d\n")
    }

    @Test("the admin address goes over as the others do")
    func adminAddress() async throws {
      let site = Site()
      let origin = try AnsweringOrigin("origin")
      defer { origin.stop() }
      let admin = TestSocket.bound(backlog: nil).port
      var proxy = try await Proxy(site.arguments(origin, "--admin", "127.0.0.1:\(admin)"))
      defer { proxy.end() }
      #expect(try HTTPClient(to: admin).get("/stats") != nil)
      for threads in ["3", "1"] {
        let next = try await Proxy(
          site.arguments(origin, "--admin", "127.0.0.1:\(admin)", "--threads", threads))
        #expect(try await proxy.program.waitForExit() == 0)
        proxy = next
        #expect(!proxy.program.errorText.contains("nobody listens"))
        #expect(try ask("/stats", at: admin)?.isEmpty == false)
      }
    }

    @Test(
      "a successor that goes away amid a takeover, or cannot listen, leaves the old one serving")
    func halfATakeover() async throws {
      let site = Site()
      let origin = try AnsweringOrigin("origin")
      defer { origin.stop() }
      let old = try await Proxy(site.arguments(origin))
      defer { old.end() }
      do {
        let takeover = try TakeoverClient.take(path: site.takeover)
        #expect(takeover.addresses.map(\.description) == [site.tcp])
      }
      try await old.program.waitFor("a takeover has come to nothing")
      #expect(try ask("/a", at: site.port) == "origin /a\n")

      let occupied = TestSocket.bound(backlog: 1)
      let new = try Program(
        Program.path(of: "fdproxy"),
        site.arguments(origin, listen: [site.tcp, "127.0.0.1:\(occupied.port)"]))
      #expect(try await new.waitForExit() == 1)
      let last = new.errorText.split(separator: "\n").last ?? ""
      #expect(last.hasPrefix("fdproxy: cannot listen on 127.0.0.1:\(occupied.port)"), "\(last)")
      #expect(try ask("/b", at: site.port) == "origin /b\n")
      #expect(exists(site.takeover) && !old.program.hasEnded)
    }

    @Test("a path at which something else is, is refused in one line")
    func notASocket() async throws {
      let site = Site()
      let origin = try AnsweringOrigin("origin")
      defer { origin.stop() }
      close(open(site.takeover, O_CREAT | O_WRONLY, 0o600))
      let program = try Program(Program.path(of: "fdproxy"), site.arguments(origin))
      #expect(try await program.waitForExit() == 1)
      let last = program.errorText.split(separator: "\n").last ?? ""
      #expect(last.hasPrefix("fdproxy: takeover by \"\(site.takeover)\":"), "\(last)")
      #expect(exists(site.takeover))
    }

    /// Needs a user that may become another, and setpriv(1).
    @Test(
      "another user's process is neither given sockets nor believed",
      .enabled(if: geteuid() == 0 && access("/usr/bin/setpriv", X_OK) == 0))
    func otherUser() async throws {
      let site = Site()
      let origin = try AnsweringOrigin("origin")
      defer { origin.stop() }
      let fdproxy = try Program.path(of: "fdproxy")
      let asOther = ["--reuid=65534", "--clear-groups", fdproxy]
      chmod(site.folder, 0o777)
      do {
        let old = try await Proxy(site.arguments(origin))
        defer { old.end() }
        // As if the mode had not kept it out.
        chmod(site.takeover, 0o666)
        let thief = try Program("/usr/bin/setpriv", asOther + site.arguments(origin))
        #expect(try await thief.waitForExit() == 1)
        #expect(thief.errorText.contains("closed the connection"), "\(thief.errorText)")
        try await old.program.waitFor("of another user is turned away")
        #expect(try ask("/a", at: site.port) == "origin /a\n")
        old.program.send(SIGTERM)
        #expect(try await old.program.waitForExit() == 0)
      }
      let trap = try Program("/usr/bin/setpriv", asOther + site.arguments(origin))
      defer { trap.end() }
      try await trap.waitFor("listening")
      let victim = try Program(fdproxy, site.arguments(origin))
      #expect(try await victim.waitForExit() == 1)
      #expect(victim.errorText.contains("is of user 65534"), "\(victim.errorText)")
    }
  }
}
