import CShims
import FDDelays
import FDPoller
import Glibc
import Synchronization

/// Tells a loop that sleeps over its mail from one that gets no processor: the kernel says that its
/// thread sleeps, has not been woken once in all the time, and there is a letter that it has been
/// told of.
final class SleepWatch: @unchecked Sendable {
  /// Letters that were posted, their wake-ups included.
  let posted = Tally()
  /// Letters that were read.
  let read = Tally()
  private let loop: EventLoop
  private let poller: Poller
  private let thread = Atomic<Int32>(0)
  /// The one that looks.
  private var nap: Nap?

  /// As long as nothing here changes the thread has not run.
  private struct Sight: Equatable {
    let read: Int
    let ticks: UInt64
    let switches: Int
  }

  private struct Nap {
    let sight: Sight
    let begin: ContinuousClock.Instant
    var looks = 0
  }

  private static let fewestLooks = 10
  private static let longestNap = Duration.milliseconds(500)

  init(_ loop: EventLoop, of poller: Poller) {
    self.loop = loop
    self.poller = poller
  }

  /// On the loop.
  func noteThread() { thread.store(ThreadState.caller, ordering: .releasing) }

  /// To be called every now and then, by one thread at a time.
  func look(_ stage: Stage) {
    // In this order: a letter that is read was posted, but perhaps not counted yet.
    let posted = posted.count
    let letters = posted - read.count
    guard letters > 0, let state = ThreadState(of: thread.load(ordering: .acquiring)),
      state.isAsleep
    else {
      nap = nil
      return
    }
    let sight = Sight(
      read: read.count, ticks: poller.snapshot().loops[loop.index][.ticks],
      switches: state.switches)
    guard var known = nap, known.sight == sight else {
      nap = Nap(sight: sight, begin: .now)
      return
    }
    known.looks += 1
    nap = known
    let length = ContinuousClock.now - known.begin
    guard known.looks >= Self.fewestLooks, length > longestNap(stage) else { return }
    stage.violate(
      "no loop sleeps over its mail",
      "\(loop.name) is in the wait of its tick \(sight.ticks) with \(letters) letters unread, "
        + "which were posted and woken for; the kernel says that its thread sleeps and has not "
        + "been woken for \(length / .milliseconds(1)) ms: see what it did last, below")
  }

  /// A delay is a sleep too.
  private func longestNap(_ stage: Stage) -> Duration {
    let delay = stage.parameters.delays?.sleepMicroseconds ?? 0
    return max(Self.longestNap, .microseconds(4 * delay))
  }
}

/// What the kernel says of a thread of this process (proc(5), /proc/pid/status).
struct ThreadState {
  /// It waits for something.
  let isAsleep: Bool
  /// How often it has begun to wait.
  let switches: Int

  /// The calling thread, as the kernel calls it, or 0: its link is `process/task/thread`.
  static var caller: Int32 {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { bytes in
      let count = readlink("/proc/thread-self", bytes.baseAddress.unsafelyUnwrapped, bytes.count)
      let link = String(
        decoding: UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: bytes[..<max(0, count)])),
        as: UTF8.self)
      return link.split(separator: "/").last.flatMap { Int32($0) } ?? 0
    }
  }

  /// - Returns: nil if there is no such thread.
  init?(of thread: Int32) {
    let file = open("/proc/self/task/\(thread)/status", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { _ = fdp_close(file) }
    let text = withUnsafeTemporaryAllocation(byteCount: 4_096, alignment: 1) { bytes in
      let count = max(0, fdp_read(file, bytes.baseAddress, bytes.count))
      return String(decoding: UnsafeRawBufferPointer(rebasing: bytes[..<count]), as: UTF8.self)
    }
    func field(_ name: String) -> Substring? {
      text.split(separator: "\n").first { $0.hasPrefix(name + ":\t") }?
        .dropFirst(name.count + 2)
    }
    guard let state = field("State"),
      let switches = field("voluntary_ctxt_switches").flatMap({ Int($0) })
    else { return nil }
    isAsleep = state.hasPrefix("S")
    self.switches = switches
  }
}
