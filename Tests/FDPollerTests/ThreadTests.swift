import CShims
import FDOwnership
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("The threads of a poller")
  struct ThreadTests {
    @Test(
      "have the loops' names, cut to what the kernel keeps",
      arguments: ["fd-loop", "a-long-name-for-it"])
    func names(name: String) async throws {
      var configuration = PollerConfiguration.tested(threads: 3)
      configuration.name = name
      try await withTestedPoller(configuration) { poller in
        for loop in poller.loops {
          let task = await loop.call { ThreadFiles() }
          #expect(loop.name == "\(name)-\(loop.index)")
          #expect(ProcFile("\(task.folder)/comm").lines == [loop.name.prefix(15)])
        }
      }
    }

    @Test("run on the processors that they are pinned to, in turn, and anywhere if it does not say")
    func pinning() async throws {
      let allowed = ThreadFiles().processors
      let pinned = [allowed.first!, allowed.last!]
      var configuration = PollerConfiguration.tested(threads: 3)
      configuration.processors = pinned
      try await withTestedPoller(configuration) { poller in
        for loop in poller.loops {
          #expect(await loop.call { ThreadFiles().processors } == [pinned[loop.index % 2]])
        }
      }
      try await withTestedPoller(threads: 1) { poller in
        #expect(await poller.loops[0].call { ThreadFiles().processors } == allowed)
      }
    }

    @Test("that cannot be pinned say so, and run all the same")
    func pinningFails() async throws {
      let log = RecordedLog()
      var configuration = PollerConfiguration.tested(threads: 2)
      configuration.processors = [100_000]
      configuration.logger = log.logger
      try await withTestedPoller(configuration) { poller in
        for loop in poller.loops { await loop.settle() }
        #expect(log.count(of: "cannot pin a loop to its processor") == 2)
      }
    }

    @Test("block every signal, so that a write to a broken pipe is an error and no signal")
    func signals() async throws {
      try await withTestedPoller { poller in
        let blocked = await poller.loops[0].call {
          let line = ProcFile("\(ThreadFiles().folder)/status").lines
            .first { $0.hasPrefix("SigBlk:") }
          return UInt64(line!.split(separator: "\t")[1], radix: 16)!
        }
        for signal in [SIGPIPE, SIGTERM, SIGINT, SIGUSR1, SIGCHLD] {
          #expect(blocked & 1 << (signal - 1) != 0)
        }
        let pipe = FileDescriptor.nonBlockingPipe()
        pipe.reader.closeForGood()
        #expect(await poller.loops[0].call { pipe.writer.put() } == false)
        pipe.writer.closeForGood()
      }
    }

    // ThreadSanitizer does not survive a fork beside other threads.
    @Test(
      "a child that was forked without exec is told so when it inserts",
      .disabled(if: TestRun.isSanitized))
    func forked() async {
      await #expect(processExitsWith: .success) {
        let poller = try Poller(.tested())
        try poller.start()
        let pair = SocketPair()
        // The child has this thread alone, and waits for ever for a lock of the Swift runtime that
        // another one held. So all that it does has been done before: it then takes none.
        let rehearsal = SocketPair()
        let handle = try poller.insert(rehearsal.near, handler: DescriptorHandler())
        poller.delete(handle)
        #expect(throws: PollerError.kernelRefused("take in fd -1", .badFileDescriptor)) {
          try poller.insert(FileDescriptor(rawValue: -1), handler: DescriptorHandler())
        }
        // Swift hides fork, and with good reason: the child does this one thing.
        typealias Fork = @convention(c) () -> pid_t
        let fork = unsafeBitCast(
          dlsym(UnsafeMutableRawPointer(bitPattern: 0), "fork"), to: Fork.self)
        let child = fork()
        if child == 0 {
          alarm(30)
          do throws(PollerError) {
            try poller.insert(pair.near, handler: DescriptorHandler())
          } catch {
            _exit(error == .forked ? 42 : 1)
          }
          _exit(2)
        }
        var status: Int32 = 0
        #expect(waitpid(child, &status, 0) == child)
        #expect(status == 42 << 8)
        // The parent goes on.
        let probe = Probe()
        try poller.insert(pair.near, handler: probe)
        pair.far.put()
        #expect(await eventually { probe.calls == 1 })
        try poller.stop()
      }
    }
  }
}

/// What /proc says about the calling thread.
struct ThreadFiles {
  /// The thread's folder, by which other threads can look too.
  let folder: String

  init() {
    var bytes = [UInt8](repeating: 0, count: 64)
    let length = bytes.withUnsafeMutableBytes {
      readlink(
        "/proc/thread-self", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
    }
    folder = "/proc/" + String(decoding: bytes[..<max(0, length)], as: UTF8.self)
  }

  /// The processors that the thread may run on.
  var processors: [Int] {
    let line = ProcFile("\(folder)/status").lines.first { $0.hasPrefix("Cpus_allowed_list:") }
    return line!.split(separator: "\t")[1].split(separator: ",").flatMap { range in
      let ends = range.split(separator: "-").map { Int($0)! }
      return Array(ends.first!...ends.last!)
    }
  }

  /// How long the thread has been on a processor, in nanoseconds.
  var processorTime: UInt64 {
    UInt64(ProcFile("\(folder)/schedstat").text.split(separator: " ").first ?? "0") ?? 0
  }
}
