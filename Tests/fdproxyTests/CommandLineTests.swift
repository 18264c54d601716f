import TestKit
import Testing

extension ProcessTests {
  @Suite("The command line")
  struct CommandLineTests {
    private static let good = ["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:9"]
    private static let bytes = good + ["--mode", "tcp"]

    struct Mistake: CustomTestStringConvertible {
      let arguments: [String]
      let complaint: String
      var testDescription: String { arguments.joined(separator: " ") }

      init(_ arguments: [String], _ complaint: String) {
        self.arguments = arguments
        self.complaint = complaint
      }
    }

    /// Starts fdproxy with something wrong.
    ///
    /// - Returns: its exit code, and the one line that it wrote.
    private func run(
      _ arguments: [String], descriptorLimit: Int? = nil,
      sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> (code: Int32, line: String) {
      let program = try Program(
        try Program.path(of: "fdproxy"), arguments, descriptorLimit: descriptorLimit)
      defer { program.end() }
      let code = try await program.waitForExit()
      let lines = program.errorText.split(separator: "\n")
      #expect(lines.count == 1, "\(program.errorText)", sourceLocation: sourceLocation)
      #expect(program.outputText.isEmpty, sourceLocation: sourceLocation)
      let line = String(lines.first ?? "")
      #expect(line.hasPrefix("fdproxy: "), sourceLocation: sourceLocation)
      return (code, line)
    }

    @Test(
      "a mistake in the arguments is one line and exit code 2",
      arguments: [
        Mistake([], "no --listen"),
        Mistake(["--listen", "127.0.0.1:0"], "no --backend"),
        Mistake(["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:99999"], "is not a port"),
        Mistake(
          ["--listen", "300.1.1.1:80", "--backend", "127.0.0.1:9"], "is not an IPv4 address"),
        Mistake(["--listen", "127.0.0.1", "--backend", "127.0.0.1:9"], "no port"),
        Mistake(["--listen", "a\nb:1", "--backend", "127.0.0.1:9"], "cannot read the address"),
        Mistake(good + ["--threads", "0"], "threads is 0"),
        Mistake(good + ["--threads", "-1"], "--threads"),
        Mistake(good + ["--threads", "2000"], "threads is 2000"),
        Mistake(good + ["--threads", "many"], "many"),
        Mistake(good + ["--threads", "2", "--groups", "3"], "groups"),
        Mistake(good + ["--mode", "udp"], "tcp"),
        Mistake(good + ["--balance", "luck"], "least-connections"),
        Mistake(good + ["--io", "select"], "io_uring"),
        Mistake(good + ["--accept", "never"], "per-loop"),
        Mistake(bytes + ["--idle-timeout=-1"], "--idle-timeout"),
        Mistake(bytes + ["--client-timeout", "nan"], "--client-timeout"),
        Mistake(good + ["--server-timeout", "1e12"], "--server-timeout"),
        Mistake(good + ["--connect-timeout", "soon"], "--connect-timeout"),
        Mistake(bytes + ["--spare=-1"], "--spare"),
        Mistake(good + ["--pin=-1"], "--pin"),
        Mistake(good + ["--log-level", "loud"], "--log-level"),
        Mistake(good + ["--connect-timeout", "5 s"], "write a time as 5, 0.5, 500ms"),
        Mistake(good + ["--max-head", "32T"], "--max-head"),
        Mistake(good + ["--max-head", "2M"], "256 to 1048576 bytes"),
        Mistake(good + ["--max-fields", "0"], "it can be 1 to 10000"),
        Mistake(good + ["--retries", "1000"], "it can be 0 to 100"),
        Mistake(good + ["--purge-interval", "0"], "it must be more than 0"),
        Mistake(good + ["--reuse", "often"], "'never', 'safe' or 'always'"),
        Mistake(good + ["--backend", "web="], "cannot read the address"),
        Mistake(good + ["--route", "/api"], "write it as [HOST][/PATH]=GROUP"),
        Mistake(good + ["--route", "/api/=default"], "without the slash at its end"),
        Mistake(good + ["--route", "a.b:80=default"], "a host without a port"),
        Mistake(good + ["--route", "/api=api"], "write a --backend api=ADDRESS"),
        Mistake(good + ["--trust", "10.0.0.0/33"], "--trust"),
        Mistake(good + ["--proxy-protocol"], "say whom with --trust"),
        Mistake(good + ["--via", "my proxy"], "none to send no Via"),
        Mistake(good + ["--host", "a b"], "preserve, backend, or the name"),
        Mistake(good + ["--access-log-format", "json"], "say where with --access-log"),
        Mistake(good + ["--admin", "8081"], "no port"),
        Mistake(
          good + ["--health-path", "/", "--no-health-checks"],
          "--health-path has no meaning with --no-health-checks"),
        Mistake(good + ["--health-path", "health"], "write a path as /health"),
        Mistake(good + ["--check"], "give it --config FILE"),
        Mistake(good + ["--spare", "1"], "--spare has no meaning with --mode http"),
        Mistake(
          good + ["--client-timeout", "1"], "--client-timeout has no meaning with --mode http"),
        Mistake(bytes + ["--forwarded"], "--forwarded has no meaning with --mode tcp"),
        Mistake(bytes + ["--no-forwarded"], "--forwarded has no meaning with --mode tcp"),
        Mistake(bytes + ["--route", "/=default"], "--route has no meaning with --mode tcp"),
        Mistake(bytes + ["--takeover", "/tmp/x"], "--takeover has no meaning with --mode tcp"),
        Mistake(bytes + ["--backend", "a=127.0.0.1:9"], "groups have no meaning with --mode tcp"),
        Mistake(
          ["--config", "fdproxy.yaml", "--listen", "127.0.0.1:0"],
          "--listen and --config exclude each other: say it in \"fdproxy.yaml\""),
        Mistake(["--config", "fdproxy.yaml", "--mode", "tcp"], "--mode and --config"),
        Mistake(["--config", "fdproxy.yaml", "--pin", "0"], "--pin and --config"),
        Mistake(
          ["--config", "fdproxy.yaml", "--no-health-checks"], "--health-checks and --config"),
        Mistake(good + ["--no-such-option"], "--no-such-option"),
        Mistake(good + ["superfluous"], "superfluous"),
        Mistake(["demo", "--seconds", "0"], "--seconds"),
      ])
    func usage(_ mistake: Mistake) async throws {
      let (code, line) = try await run(mistake.arguments)
      #expect(code == 2)
      #expect(line.contains(mistake.complaint), "\(line)")
    }

    @Test("the help goes to the standard output and is no mistake")
    func help() async throws {
      let program = try Program(try Program.path(of: "fdproxy"), ["serve", "--help"])
      defer { program.end() }
      #expect(try await program.waitForExit() == 0)
      #expect(program.outputText.contains("--drain-seconds"))
      #expect(program.errorText.isEmpty)
    }

    @Test("a port in use is one line and exit code 1")
    func portInUse() async throws {
      let socket = TestSocket.bound(backlog: 1)
      let address = "127.0.0.1:\(socket.port)"
      let (code, line) = try await run(
        ["--mode", "tcp", "--listen", address, "--backend", "127.0.0.1:9"])
      #expect(code == 1)
      #expect(line.contains("cannot listen on \(address)"), "\(line)")
      #expect(line.contains("another program listens there"), "\(line)")
    }

    @Test("a port that another fdproxy has is in use")
    func portOfAnother() async throws {
      try await withProxy(to: ["127.0.0.1:9"]) { proxy in
        let address = "127.0.0.1:\(proxy.port)"
        let (code, line) = try await run(
          ["--mode", "tcp", "--listen", address, "--backend", "127.0.0.1:9"])
        #expect(code == 1)
        #expect(line.contains("another program listens there"), "\(line)")
      }
    }

    @Test("an address of another machine is one line and exit code 1")
    func foreignAddress() async throws {
      let (code, line) = try await run(
        ["--mode", "tcp", "--listen", "192.0.2.1:0", "--backend", "127.0.0.1:9"])
      #expect(code == 1)
      #expect(line.contains("no interface of this machine has that address"), "\(line)")
    }

    @Test("a host name that cannot be looked up is exit code 1: the name may be right")
    func unknownHost() async throws {
      let (code, line) = try await run(
        ["--listen", "127.0.0.1:0", "--backend", "no-such-host.invalid:80"])
      #expect(code == 1)
      #expect(line.contains("looking up \"no-such-host.invalid\" failed"), "\(line)")
    }

    @Test("a limit of open descriptors that is too small is one line and exit code 1")
    func smallLimit() async throws {
      let (code, line) = try await run(Self.bytes, descriptorLimit: 40)
      #expect(code == 1)
      #expect(line.contains("the limit of open descriptors is 40"), "\(line)")
      #expect(line.contains("ulimit"), "\(line)")
    }

    @Test("more threads than there are descriptors for is one line and exit code 1")
    func limitTooSmallForThreads() async throws {
      let (code, line) = try await run(Self.bytes + ["--threads", "200"], descriptorLimit: 100)
      #expect(code == 1)
      #expect(line.contains("Too many open files"), "\(line)")
    }
  }
}
