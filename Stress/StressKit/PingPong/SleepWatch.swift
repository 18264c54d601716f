import CShims
import FDDelays
import FDPoller
import Glibc

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

  // Of the one that looks.

  private var thread: Int32?
  private var nap: Nap?
  private var hasComplained = false

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

  /// To be called every now and then, by one thread at a time.
  func look(_ stage: Stage) {
    // In this order: a letter that is read was posted, but perhaps not counted yet.
    let posted = posted.count
    let letters = posted - read.count
    if thread == nil { thread = ThreadState.thread(named: loop.name) }
    guard letters > 0, let thread, let state = ThreadState(of: thread), state.isAsleep else {
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
    guard known.looks >= Self.fewestLooks, length > longestNap(stage), !hasComplained else {
      return
    }
    hasComplained = true
    stage.violate(
      "no loop sleeps over its mail",
      "\(loop.name) waits in its tick \(sight.ticks), and its thread has slept for "
        + "\(Int(length / .milliseconds(1))) ms without being woken once, says the kernel; "
        + "but it has \(letters) unread letters whose posts have returned: either it did not look "
        + "before it slept, or they did not see that it sleeps")
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

  /// The thread of this process that has that name. Not asked of the loop itself: it would have to
  /// read its mail.
  static func thread(named name: String) -> Int32? {
    guard let folder = opendir("/proc/self/task") else { return nil }
    defer { closedir(folder) }
    while let entry = readdir(folder) {
      let thread = withUnsafeBytes(of: entry.pointee.d_name) {
        Int32(String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self))
      }
      guard let thread else { continue }
      if text(of: "/proc/self/task/\(thread)/comm") == name + "\n" { return thread }
    }
    return nil
  }

  /// - Returns: nil if there is no such thread.
  init?(of thread: Int32) {
    guard let text = Self.text(of: "/proc/self/task/\(thread)/status") else { return nil }
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

  private static func text(of path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { _ = fdp_close(file) }
    return withUnsafeTemporaryAllocation(byteCount: 4_096, alignment: 1) { bytes in
      let count = max(0, fdp_read(file, bytes.baseAddress, bytes.count))
      return String(decoding: UnsafeRawBufferPointer(rebasing: bytes[..<count]), as: UTF8.self)
    }
  }
}
