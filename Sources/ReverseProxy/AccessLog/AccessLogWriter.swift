import CShims
import FDNet
import FDPoller
import Glibc
import Logging
import Synchronization
import SystemPackage

/// The thread of an access log, which takes the lines of the loops to the file.
///
/// What `start` and `close` touch belongs to the caller, the rest to the thread, save what is atomic.
final class AccessLogWriter: @unchecked Sendable {
  private let lanes: [AccessLog.Lane]
  private let bell: AccessLog.Bell
  private let logger: Logger
  /// The thread's; after its end, of whoever drops this object.
  private var file: LogFile
  private let mustReopen = Atomic(false)
  /// When to give up on the file, in nanoseconds of CLOCK_MONOTONIC; 0 while the log is open.
  private let end = Atomic<UInt64>(0)
  private let lostInFile = Atomic(0)
  private let closing = PlatformLock()
  private var thread: pthread_t?

  // The thread's.
  private var lostInFormerFiles = 0
  private var told = (lost: 0, at: UInt64(0))
  /// Why lines were lost that were not told of yet.
  private var failure: AccessLogError?

  private static let periodMilliseconds: Int32 = 100
  private static let nanosecondsBetweenReports: UInt64 = 1_000_000_000

  init(
    _ file: consuming LogFile, _ lanes: [AccessLog.Lane], _ bell: AccessLog.Bell, _ logger: Logger
  ) {
    self.file = file
    self.lanes = lanes
    self.bell = bell
    self.logger = logger
  }

  func start() throws(AccessLogError) {
    var thread = pthread_t()
    let context = Unmanaged.passRetained(self)
    // It has every signal blocked: a pipe without a reader is an error, and no SIGPIPE.
    let result = fdp_thread_start(
      &thread, "access-log",
      { context in
        Unmanaged<AccessLogWriter>.fromOpaque(context.unsafelyUnwrapped).takeRetainedValue().run()
      }, context.toOpaque())
    guard result == 0 else {
      context.release()
      throw AccessLogError(file.path, -result)
    }
    self.thread = thread
  }

  /// Lines that were handed over and could not be written.
  var lost: Int { lostInFile.load(ordering: .relaxed) }

  func reopen() {
    mustReopen.store(true, ordering: .releasing)
    bell.ring()
  }

  /// Called again, it does nothing but wait for the first call.
  func close(within deadline: Duration) {
    closing.withLock {
      guard let thread else { return }
      let (seconds, attoseconds) = deadline.components
      let nanoseconds =
        UInt64(clamping: seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
      end.store(max(1, fdp_monotonic_nanoseconds() + nanoseconds), ordering: .releasing)
      bell.ring()
      fdp_thread_join(thread)
      self.thread = nil
    }
  }
}

// MARK: - On the thread

extension AccessLogWriter {
  private func run() {
    while true {
      bell.wait(milliseconds: Self.periodMilliseconds)
      // Before the lines are taken: those that came before it are in time.
      let isLast = end.load(ordering: .acquiring) != 0
      let reopens = mustReopen.exchange(false, ordering: .acquiringAndReleasing)
      for lane in lanes { lane.ring.take { write($0) } }
      if reopens { openAnew() }
      lostInFile.store(lostInFormerFiles + file.lost, ordering: .relaxed)
      report(isLast: isLast)
      if isLast { return }
    }
  }

  private func write(_ bytes: UnsafeRawBufferPointer) {
    let failure = file.write(bytes) {
      report(isLast: false)
      // A file that takes nothing must not keep the log from its end, or from a better file.
      if mustReopen.load(ordering: .relaxed) { return false }
      let end = end.load(ordering: .relaxed)
      return end == 0 || fdp_monotonic_nanoseconds() < end
    }
    if let failure { self.failure = AccessLogError(file.path, failure) }
  }

  private func openAnew() {
    do throws(AccessLogError) {
      let fresh = try LogFile(path: file.path)
      lostInFormerFiles += file.lost
      file = fresh
    } catch {
      logger.error(
        "the access log cannot be opened again; the old file is written on",
        metadata: ["reason": "\(error)"])
    }
  }

  private func report(isLast: Bool) {
    let lost = lanes.reduce(self.lost) { $0 + $1.lost }
    let now = fdp_monotonic_nanoseconds()
    guard lost > told.lost, isLast || now - told.at >= Self.nanosecondsBetweenReports else {
      return
    }
    let reason = failure?.description ?? "they came faster than the file took them"
    logger.warning(
      "lines of the access log were lost",
      metadata: ["count": "\(lost - told.lost)", "reason": "\(reason)"])
    told = (lost, now)
    failure = nil
  }
}
