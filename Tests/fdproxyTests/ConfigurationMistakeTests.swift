import TestKit
import Testing

@testable import fdproxy

extension ProcessTests {
  @Suite("Mistakes in the configuration file")
  struct ConfigurationMistakeTests {
    /// What is wrong with a file, each with its line and column in front.
    private func complaints(_ text: String) async throws -> [String] {
      try await withFile(text) { path in
        do throws(SettingsError) {
          _ = try Settings.read(path)
          return []
        } catch {
          return error.lines.map { $0.hasPrefix(path) ? String($0.dropFirst(path.count + 1)) : $0 }
        }
      }
    }

    struct Mistake: CustomTestStringConvertible {
      let testDescription: String
      let text: String
      /// What is said of it, with line and column; or, if other mistakes follow from it, of those.
      let complaints: [String]

      /// A mistake in lines behind two that are fine.
      init(_ lines: String, _ complaints: String...) {
        self.init(all: "listen: 127.0.0.1:1\nbackends: 127.0.0.1:2\n" + lines, complaints)
      }

      init(all text: String, _ complaints: [String]) {
        testDescription = text.debugDescription
        self.text = text
        self.complaints = complaints
      }
    }

    @Test(
      "a mistake is named with its line, its column and what to write",
      arguments: [
        // Keys.
        Mistake("theads: 2", "3:1: unknown key theads: did you mean threads?"),
        Mistake("timeouts:\n  conect: 5", "4:3: unknown key conect: did you mean connect?"),
        Mistake("access-log: {path: x, colour: red}", "3:23: unknown key colour: there can be "),
        Mistake("threads: 2\nthreads: 3", "4:1: threads: it is there already, in line 3"),
        Mistake(
          "pool:\n  idle-time: 1\n  # again\n  idle-time: 2\nx: y",
          "6:3: idle-time: it is there already, in line 4", "7:1: unknown key x"),
        Mistake("pool: {idle-time: 1, idle-time: 2}", "3:8: idle-time: there twice"),
        Mistake("max-head: 1K", "3:1: unknown key max-head: write head in limits"),
        Mistake("? [1]\n: 2", "3:3: a key is one word"),
        // Types.
        Mistake("threads: [1]", "3:10: threads: it is one value, not a list"),
        Mistake("threads: {a: 1}", "3:10: threads: it is one value, not keys with values"),
        Mistake("threads:", "3:1: threads: it has no value"),
        Mistake("timeouts: 5", "3:11: timeouts: it consists of keys with values"),
        Mistake("groups: web", "3:9: groups: it is a list"),
        Mistake("groups:\n  - web", "4:5: groups: each item consists of keys with values"),
        // Values.
        Mistake("threads: many", "3:10: threads: \"many\": it is no number"),
        Mistake("threads: 0", "3:10: threads is 0; it can be 1 to"),
        Mistake("threads: 2\nthread-groups: 3", "3:10: 3 groups need at least as many threads"),
        Mistake("io: select", "3:5: io: \"select\": write epoll, io_uring or auto"),
        Mistake("proxy-protocol: yes", "3:17: proxy-protocol: \"yes\": write true or false"),
        Mistake(
          "proxy-protocol: true", "3:17: proxy-protocol: nobody is trusted to send it: say whom"),
        Mistake("trust: [10.0.0.1, 10.0.0.0/99]", "3:19: trust: "),
        Mistake("drain-seconds: 1d", "3:16: drain-seconds: \"1d\": write a time as 5, 0.5, 500ms"),
        Mistake("drain-seconds: -1", "3:16: drain-seconds: \"-1\": write a time"),
        Mistake("drain-seconds: 9000h", "3:16: drain-seconds: \"9000h\": write a time"),
        Mistake("pool: {purge-interval: 0}", "3:24: purge-interval: \"0\": it must be more than 0"),
        Mistake("limits: {head: 32G}", "3:16: head: \"32G\": it can be 256 to 1048576 bytes"),
        Mistake("limits: {head: 1}", "3:16: head: \"1\": it can be 256 to 1048576 bytes"),
        Mistake("limits: {fields: 99999999999999999999}", "3:18: fields: "),
        Mistake("retries: 101", "3:10: retries: \"101\": it can be 0 to 100"),
        Mistake("admin: 127.0.0.1", "3:8: admin: cannot read the address \"127.0.0.1\": "),
        Mistake("access-log: {format: json}", "3:13: access-log: no path"),
        Mistake("forwarding: {via: a b}", "3:19: via: \"a b\": write a name without spaces"),
        Mistake("health-check: {path: well}", "3:22: path: \"well\": write a path as /health"),
        // Groups and routes.
        Mistake(
          "groups:\n  - {name: default, backends: 127.0.0.1:3}",
          "4:12: name: there is a group default already: it is the one of the backends at the top"),
        Mistake("groups:\n  - {backends: 127.0.0.1:3}", "4:5: no name for this group"),
        Mistake("groups:\n  - {name: a/b, backends: 127.0.0.1:3}", "4:12: name: \"a/b\": "),
        Mistake("groups:\n  - {name: web}", "4:5: no backends: say where clients are forwarded"),
        Mistake(
          "groups:\n  - {name: web, backends: []}", "4:27: backends: the list is empty"),
        Mistake(
          "routes:\n  - {path: /, group: defalt}",
          "4:22: group: there is no group defalt: did you mean default?"),
        Mistake("routes:\n  - {path: /}", "4:5: no group: say where the route leads to"),
        Mistake(
          "routes:\n  - {path: /a/, group: default}", "4:12: path: \"/a/\": write it without"),
        Mistake("routes:\n  - {host: a:80, group: default}", "4:12: host: \"a:80\": "),
        // Modes.
        Mistake("spare: 5", "3:1: spare: it has no meaning with mode: http"),
        Mistake("timeouts: {idle: 5}", "3:12: idle: it has no meaning with mode: http"),
        Mistake(
          "mode: tcp\nroutes: []\npool: {}", "4:1: routes: it has no meaning with mode: tcp",
          "5:1: pool: it has no meaning with mode: tcp"),
        Mistake("mode: udp", "3:7: mode: \"udp\": write http or tcp"),
        // The whole file.
        Mistake(
          all: "threads: 1",
          ["1:1: no backends: say where", "1:1: no listen: say where"]),
        Mistake(
          all: "listen: 127.0.0.1:1\ngroups: []", ["2:9: groups: no group, so no backend"]),
        Mistake(
          all: "listen: 127.0.0.1:1\nretries: 1\ngroups: [{name: a, backends: 127.0.0.1:1}]",
          ["2:1: retries: say it in a group"]),
        Mistake(all: "", [" it is empty"]),
        Mistake(all: "- listen", ["1:1: a configuration consists of keys with values"]),
        Mistake(
          all: "threads: 1\nlisten: *:8080\n",
          ["2:10: this is no YAML: while scanning an alias"]),
        Mistake(all: "threads: 1\nlisten: \"a\u{1}\"\n", ["2:11: this is no YAML: control"]),
        Mistake(all: "a: 1\n---\nb: 2\n", ["2:1: this is no YAML: expected a single document"]),
      ])
    func mistakes(_ mistake: Mistake) async throws {
      let complaints = try await complaints(mistake.text).sorted()
      #expect(complaints.count == mistake.complaints.count, "\(complaints)")
      for (complaint, expected) in zip(complaints, mistake.complaints.sorted()) {
        #expect(complaint.hasPrefix(expected), "\(complaint)")
        #expect(!complaint.contains("\n"))
      }
    }

    @Test("an address that begins with * or [ is told to be put in quotes")
    func quotes() async throws {
      for address in ["*:8080", "[::1]:8080"] {
        let complaints = try await complaints("listen: \(address)\nbackends: 127.0.0.1:1\n")
        #expect(complaints.count == 1 && complaints[0].contains("in quotes"), "\(complaints)")
      }
    }

    @Test("a file that cannot be read is named with the reason")
    func unreadable() {
      for (path, reason) in [
        ("/nonexistent.yaml", "No such file or directory"), ("/tmp", "Is a directory"),
      ] {
        let error = #expect(throws: SettingsError.self) { _ = try Settings.read(path) }
        #expect(error?.lines == ["\(path): cannot read it: \(reason)"])
        #expect(error?.exitCode == 2)
      }
    }

    @Test("if only names could not be looked up the file may be right")
    func lookUp() async throws {
      let text = "listen: 127.0.0.1:1\nbackends: no-such-host.invalid:80\n"
      for (text, code) in [(text, Int32(1)), (text + "x: y\n", 2)] {
        try await withFile(text) { path in
          let error = #expect(throws: SettingsError.self) { _ = try Settings.read(path) }
          #expect(error?.exitCode == code)
          #expect(error?.lines.first?.hasPrefix("\(path):2:11: backends: ") == true)
        }
      }
    }
  }
}
