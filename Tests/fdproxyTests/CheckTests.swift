import TestKit
import Testing

extension ProcessTests {
  @Suite("Checking a configuration file")
  struct CheckTests {
    private func check(
      _ path: String, _ arguments: [String] = []
    ) async throws -> (code: Int32, output: String, errors: String) {
      let program = try Program(
        try Program.path(of: "fdproxy"), ["serve", "--check", "--config", path] + arguments)
      defer { program.end() }
      let code = try await program.waitForExit()
      return (code, program.outputText, program.errorText)
    }

    @Test("the example is fine")
    func example() async throws {
      let folder = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
      let path = "/\(folder)/Examples/fdproxy.yaml"
      let (code, output, errors) = try await check(path)
      #expect(code == 0)
      #expect(output == "\(path): fine: 2 listeners, 3 backends in 2 groups\n")
      #expect(errors.isEmpty)
    }

    @Test("every mistake is a line on the standard error stream, and the exit code is 2")
    func mistakes() async throws {
      try await withFile("listen: 127.0.0.1:1\nbackends: []\nthreads: 2000\nlog: x\n") { path in
        let (code, output, errors) = try await check(path)
        #expect(code == 2)
        #expect(output.isEmpty)
        let lines = errors.split(separator: "\n")
        let places = ["\(path):2:11: backends: ", "\(path):3:10: threads is ", "\(path):4:1: "]
        #expect(lines.count == places.count, "\(errors)")
        for (line, place) in zip(lines, places) { #expect(line.hasPrefix(place), "\(line)") }
      }
    }

    @Test("an admin address that others reach is fine, with a warning")
    func warning() async throws {
      let text = "listen: 127.0.0.1:1\nbackends: 127.0.0.1:2\nadmin: \"*:3\"\n"
      try await withFile(text) { path in
        let (code, output, errors) = try await check(path)
        #expect(code == 0)
        #expect(output == "\(path): fine: 1 listener, 1 backend in 1 group\n")
        #expect(errors.hasPrefix("\(path): warning: the admin address *:3 "), "\(errors)")
      }
    }

    @Test("the flags of the process stand beside --config")
    func overrides() async throws {
      let text = "listen: 127.0.0.1:1\nbackends: 127.0.0.1:2\n"
      try await withFile(text) { path in
        let arguments = ["--threads", "2", "--io", "auto", "--log-level", "error"]
        let good = try await check(path, arguments + ["--takeover", "/tmp/x"])
        #expect(good.code == 0, "\(good.errors)")
        let bad = try await check(path, ["--threads", "2000"])
        #expect(bad.code == 2)
      }
      try await withFile("mode: tcp\n" + text) { path in
        let bad = try await check(path, ["--takeover", "/tmp/x"])
        #expect(bad.code == 2 && bad.errors.contains("--takeover has no meaning"), "\(bad.errors)")
      }
    }

    @Test("a proxy of bytes runs by a file")
    func bytes() async throws {
      try await withOrigin(.echo) { origin in
        let text = "mode: tcp\nlisten: 127.0.0.1:0\nbackends: \(origin.address)\n"
        try await withFile(text) { path in
          let proxy = try await Proxy(["--config", path, "--io", TestedBackend.name])
          defer { proxy.end() }
          #expect(try proxy.client().echoes("hello"))
        }
      }
    }
  }
}
