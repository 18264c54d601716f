import CSeccomp
import Glibc
import Logging
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  /// What a program finds where io_uring cannot be had: each in a process of its own, which exits
  /// with 0 if all is as it should be.
  @Suite("The choice of a backend", .epollOnly)
  struct IOBackendTests {
    private static let (setUp, enter, register): (Int32, Int32, Int32) = (425, 426, 427)

    @Test("is named as on command lines")
    func names() {
      #expect(IOBackend.allCases.map(\.rawValue) == ["epoll", "io_uring", "auto"])
      #expect(PollerConfiguration().io == .epoll)
    }

    @Test(
      "by itself takes io_uring where it is, and says nothing",
      .enabled(if: TestedBackend.isRingThere))
    func automatic() async throws {
      let log = RecordedLog()
      var configuration = PollerConfiguration()
      configuration.io = .automatic
      configuration.logger = log.logger
      let poller = try Poller(configuration)
      guard poller.loops[0].backend.uring != nil else {
        Issue.record("\(log.all)")
        return
      }
      #expect(log.all.isEmpty)
    }

    /// Whether a poller cannot be made with io_uring for that reason, and is made with epoll and one
    /// line in the log by itself.
    private static func isRefused(
      because reason: String, _ configuration: PollerConfiguration = PollerConfiguration(threads: 2)
    ) throws -> Bool {
      var configuration = configuration
      configuration.io = .uring
      do throws(PollerError) {
        _ = try Poller(configuration)
        return false
      } catch {
        guard case .ioUringUnavailable(let text) = error, text.contains(reason),
          "\(error)" == "io_uring cannot be used: \(text)"
        else { return false }
      }
      let log = RecordedLog()
      configuration.io = .automatic
      configuration.logger = log.logger
      let poller = try Poller(configuration)
      guard log.all.count == 1, log.count(of: "epoll is used") == 1, log.count(of: reason) == 1
      else { return false }
      try poller.start()
      defer { try? poller.stop() }
      return poller.loops.allSatisfy { $0.backend.epoll != nil }
    }

    @Test("a kernel without io_uring, or a filter that says so, is named")
    func noSystemCall() async {
      await #expect(processExitsWith: .success) {
        precondition(fdt_forbid_system_call(Self.setUp, ENOSYS) == 0)
        exit(try Self.isRefused(because: "the kernel has no io_uring") ? 0 : 1)
      }
    }

    @Test("a filter that forbids io_uring is named")
    func forbidden() async {
      await #expect(processExitsWith: .success) {
        precondition(fdt_forbid_system_call(Self.setUp, EPERM) == 0)
        // Unless the machine forbids it by its setting.
        exit(try Self.isRefused(because: RingProbe.reason(for: .notPermitted)) ? 0 : 1)
      }
    }

    // Fails if what the probe's own waits answer is not looked at: the kernel would pass for too old.
    @Test(
      "a filter that lets a ring be made, and not used, is named",
      .enabled(if: TestedBackend.isRingThere), arguments: [enter, register])
    func useForbidden(number: Int32) async {
      await #expect(processExitsWith: .success) { [number] in
        precondition(fdt_forbid_system_call(number, EPERM) == 0)
        exit(try Self.isRefused(because: RingProbe.reason(for: .notPermitted)) ? 0 : 1)
      }
    }

    @Test("the setting that forbids io_uring is named, and nothing else is blamed on it")
    func disabled() {
      let all: [(setting: String?, text: String)] = [
        ("2", "kernel.io_uring_disabled is 2 "),
        ("1", "kernel.io_uring_disabled is 1, and the process is not in io_uring_group "),
        ("0", "it is forbidden, by a seccomp filter or a security module "),
        (nil, "it is forbidden, by a seccomp filter or a security module "),
      ]
      for (setting, text) in all {
        let reason = RingProbe.reason(for: .notPermitted, disabled: setting)
        #expect(reason.hasPrefix(text + "("))
        #expect(reason.hasSuffix("errno 1)"))
        let others: [(Errno, String)] = [
          (.noMemory, "no memory for its rings"),
          (.tooManyOpenFiles, "there is no descriptor left"),
        ]
        for (errno, text) in others {
          #expect(RingProbe.reason(for: errno, disabled: setting).hasPrefix(text))
        }
      }
    }

    @Test("a kernel that knows none of the flags is named as too old")
    func tooOld() async {
      await #expect(processExitsWith: .success) {
        precondition(fdt_forbid_system_call(Self.setUp, EINVAL) == 0)
        exit(try Self.isRefused(because: "the kernel is too old") ? 0 : 1)
      }
    }

    @Test("where no way to set a ring up is left the kernel is too old")
    func noModes() throws {
      var configuration = PollerConfiguration(threads: 2)
      configuration.ringSetup.modes = []
      #expect(try Self.isRefused(because: "the kernel is too old", configuration))
    }

    @Test("no memory for a ring is named")
    func noMemory() async {
      await #expect(processExitsWith: .success) {
        precondition(fdt_forbid_system_call(Self.setUp, ENOMEM) == 0)
        exit(try Self.isRefused(because: "no memory for its rings") ? 0 : 1)
      }
    }

    // Fails if the loops that have a ring keep it, or if some loops wait with the one and some with
    // the other.
    @Test(
      "when the probe had its ring and a later loop gets none, no loop has one",
      .enabled(if: TestedBackend.isRingThere),
      arguments: [(1, ENOMEM), (2, EMFILE), (4, ENOMEM)] as [(Int32, Int32)],
      [IOBackend.uring, .automatic])
    func laterRing(refusal: (Int32, Int32), io: IOBackend) async {
      let (rings, answer) = refusal
      await #expect(processExitsWith: .success) {
        [rings = rings as Int32, answer = answer as Int32, name = io.rawValue as String] in
        precondition(fdt_ration_system_call(Self.setUp, rings, answer) == 0)
        let reason = RingProbe.reason(for: Errno(rawValue: answer))
        let log = RecordedLog()
        var configuration = PollerConfiguration(threads: 4)
        configuration.io = try #require(IOBackend(rawValue: name))
        configuration.logger = log.logger
        do throws(PollerError) {
          let poller = try Poller(configuration)
          guard configuration.io == .automatic else { exit(1) }
          guard poller.loops.allSatisfy({ $0.backend.epoll != nil }) else { exit(2) }
          guard log.all.count == 1, log.count(of: reason) == 1 else { exit(3) }
          try poller.start()
          guard Self.openRings() == 0 else { exit(4) }
          try poller.stop()
        } catch {
          guard configuration.io == .uring, error == .ioUringUnavailable(reason), log.all.isEmpty
          else { exit(5) }
        }
        exit(Self.openRings() == 0 ? 0 : 6)
      }
    }

    private static func openRings() -> Int {
      Ledger.openDescriptors().values.count { $0.contains("io_uring") }
    }

    // Each loop needs a descriptor for its ring and one for its eventfd; the probe alone finds
    // enough, the loops do not. Epoll needs no fewer.
    @Test(
      "too few descriptors for all loops are a clear error",
      .enabled(if: TestedBackend.isRingThere), arguments: IOBackend.allCases)
    func noDescriptors(io: IOBackend) async {
      await #expect(processExitsWith: .success) { [name = io.rawValue as String] in
        let lowest = open("/dev/null", O_RDONLY)
        var limit = rlimit(rlim_cur: UInt(lowest) + 6, rlim_max: 4096)
        precondition(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
        let log = RecordedLog()
        var configuration = PollerConfiguration(threads: 8)
        configuration.io = try #require(IOBackend(rawValue: name))
        configuration.logger = log.logger
        var text = ""
        do throws(PollerError) {
          _ = try Poller(configuration)
        } catch {
          text = "\(error)"
        }
        // A sanitizer looks for leaks at the exit, and needs descriptors for it.
        limit.rlim_cur = limit.rlim_max
        precondition(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
        guard text.contains("errno \(EMFILE)"), log.all.count <= 1 else { exit(1) }
        exit(Self.openRings() == 0 ? 0 : 2)
      }
    }

    @Test("a kernel that lacks something is told what it is")
    func features() {
      #expect(throws: Never.self) { try RingProbe.check(features: .max) }
      let error = #expect(throws: RingRefusal.self) {
        try RingProbe.check(features: .max & ~(1 << 8))
      }
      #expect(error?.reason.contains("waiting with a timeout in one call") == true)
    }
  }
}
