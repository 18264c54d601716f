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
    private static let systemCallOfSetup: Int32 = 425

    @Test("is named as on command lines")
    func names() {
      #expect(IOBackend.allCases.map(\.rawValue) == ["epoll", "io_uring", "auto"])
      #expect(PollerConfiguration().io == .epoll)
    }

    @Test("by itself takes io_uring where it is, and says nothing")
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
    private static func isRefused(because reason: String, threads: Int = 2) throws -> Bool {
      var configuration = PollerConfiguration(threads: threads)
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
        precondition(fdt_forbid_system_call(Self.systemCallOfSetup, ENOSYS) == 0)
        exit(try Self.isRefused(because: "the kernel has no io_uring") ? 0 : 1)
      }
    }

    @Test("a filter that forbids io_uring is named")
    func forbidden() async {
      await #expect(processExitsWith: .success) {
        precondition(fdt_forbid_system_call(Self.systemCallOfSetup, EPERM) == 0)
        exit(try Self.isRefused(because: "forbidden, by a seccomp filter") ? 0 : 1)
      }
    }

    @Test("a kernel that knows none of the flags is named as too old")
    func tooOld() async {
      await #expect(processExitsWith: .success) {
        precondition(fdt_forbid_system_call(Self.systemCallOfSetup, EINVAL) == 0)
        exit(try Self.isRefused(because: "the kernel is too old") ? 0 : 1)
      }
    }

    @Test("no memory for a ring is named")
    func noMemory() async {
      await #expect(processExitsWith: .success) {
        precondition(fdt_forbid_system_call(Self.systemCallOfSetup, ENOMEM) == 0)
        exit(try Self.isRefused(because: "no memory for its rings") ? 0 : 1)
      }
    }

    // Each loop needs a descriptor for its ring and one for its eventfd; the probe alone finds
    // enough, the rings of all loops do not.
    @Test("too few descriptors for the rings of all loops are named, and epoll needs no fewer")
    func noDescriptors() async {
      await #expect(processExitsWith: .success) {
        let lowest = open("/dev/null", O_RDONLY)
        var limit = rlimit()
        limit.rlim_max = 4096
        limit.rlim_cur = UInt(lowest) + 4
        precondition(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
        var configuration = PollerConfiguration(threads: 8)
        for io in [IOBackend.uring, .epoll] {
          configuration.io = io
          let before = Ledger.openDescriptors()
          do throws(PollerError) {
            _ = try Poller(configuration)
            exit(1)
          } catch {
            print("\(error)")
          }
          guard Ledger.leaks(since: before).isEmpty else { exit(2) }
        }
        exit(0)
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
