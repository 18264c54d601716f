import CShims
import FDNet
import Glibc
package import Logging
import Synchronization
package import SystemPackage

/// A line per request in a file, or on the standard output. Loops put lines in memory and never wait;
/// a thread of the log's own writes them, about every 100 ms.
///
/// The combined format is that of Apache and nginx, with the backend and the milliseconds that the
/// request took after it:
///
///     192.0.2.1 - - [22/Nov/2026:01:08:31 +0000] "GET /a HTTP/1.1" 200 512 "-" "curl/8" "10.0.0.2:80" 1.250
///
/// The JSON format is an object per line, with all that an `AccessRecord` has. The time is that of
/// the request's end. Lines of one loop are in order; those of several are in that of their writing.
///
/// When the file cannot keep up, or cannot be written, lines are lost, counted, and the logger told.
/// Callable from any thread, except where it says otherwise.
package final class AccessLog: Sendable {
  /// The counts of a log so far.
  package struct Statistics: Sendable, Equatable {
    /// Lines that loops have handed over.
    package var lines = 0
    /// Those of them that are not in the file, and never will be.
    package var lost = 0
  }

  /// One per loop, in the order of the loops' indices.
  package let lanes: [Lane]
  private let writer: AccessLogWriter

  /// Opens the file and starts the thread.
  ///
  /// - Parameters:
  ///   - laneCount: how many loops there are.
  ///   - logger: is told of lost lines, and of a file that cannot be opened again.
  /// - Throws: `AccessLogError`.
  package init(
    _ configuration: AccessLogConfiguration, laneCount: Int, _ logger: Logger
  ) throws(AccessLogError) {
    let bell = try Bell(configuration.path)
    lanes = (0..<laneCount).map { _ in Lane(configuration.format, bell) }
    let file = try LogFile(path: configuration.path)
    writer = AccessLogWriter(file, lanes, bell, logger)
    try writer.start()
  }

  deinit { close(within: .zero) }

  /// Opens the file anew, soon: after logrotate has renamed it. Lines that were handed over before are
  /// still in the old one. If it cannot be opened, the old one is kept and the logger told.
  package func reopen() { writer.reopen() }

  /// Writes what has been handed over, and closes the file. Waits for that, so it is not for a loop.
  /// Lines that come afterwards are lost.
  ///
  /// - Parameter deadline: for a file that does not take more; what it has not taken then is lost.
  package func close(within deadline: Duration = .seconds(2)) { writer.close(within: deadline) }

  package var statistics: Statistics {
    var statistics = Statistics(lines: 0, lost: writer.lost)
    for lane in lanes {
      statistics.lines += lane.lines
      statistics.lost += lane.lost
    }
    return statistics
  }
}

// MARK: - What a loop has of it

extension AccessLog {
  /// Where one loop puts its lines. On that loop's thread, except where it says otherwise.
  package final class Lane: @unchecked Sendable {
    let ring = LogRing()
    private let format: AccessLogConfiguration.Format
    private let bell: Bell
    @exclusivity(unchecked) private var line = LogLine()
    private let lineCount = Atomic(0)
    private let lostCount = Atomic(0)

    init(_ format: AccessLogConfiguration.Format, _ bell: Bell) {
      self.format = format
      self.bell = bell
    }

    /// Hands a line over, or loses it if there are too many already. Takes no lock, allocates
    /// nothing, and makes a system call only if half of the room is used up.
    package func append(_ record: borrowing AccessRecord) {
      var now = timespec()
      clock_gettime(CLOCK_REALTIME_COARSE, &now)
      line.clear()
      switch format {
      case .combined: line.putCombined(record, second: now.tv_sec)
      case .json: line.putJSON(record, second: now.tv_sec)
      }
      lineCount.wrappingAdd(1, ordering: .relaxed)
      guard let used = ring.append(line.bytes) else {
        lostCount.wrappingAdd(1, ordering: .relaxed)
        return
      }
      if used >= LogRing.capacity / 2 { bell.ring() }
    }

    /// Any thread.
    var lines: Int { lineCount.load(ordering: .relaxed) }
    /// Any thread.
    var lost: Int { lostCount.load(ordering: .relaxed) }
  }

  /// Wakes the writer.
  final class Bell: Sendable {
    let descriptor: Int32
    /// The writer has been told and has not come yet.
    private let isRinging = Atomic(false)

    init(_ path: String) throws(AccessLogError) {
      descriptor = fdp_eventfd()
      guard descriptor >= 0 else { throw AccessLogError(path, -descriptor) }
    }

    deinit { _ = fdp_close(descriptor) }

    /// Any thread.
    func ring() {
      guard !isRinging.load(ordering: .relaxed),
        !isRinging.exchange(true, ordering: .acquiringAndReleasing)
      else { return }
      _ = fdp_eventfd_signal(descriptor)
    }

    /// Returns when it rings, or when so many milliseconds are over. The writer's thread.
    func wait(milliseconds: Int32) {
      guard fdp_poll(descriptor, POLLIN, milliseconds) > 0 else { return }
      _ = fdp_eventfd_drain(descriptor)
      isRinging.store(false, ordering: .releasing)
    }
  }
}

/// Why an access log cannot be had.
package struct AccessLogError: Error, Equatable, Sendable, CustomStringConvertible {
  package let path: String
  package let cause: Errno

  init(_ path: String, _ errno: Int32) {
    self.path = path
    cause = Errno(rawValue: errno)
  }

  package var description: String {
    let hint =
      switch cause {
      case .noSuchFileOrDirectory: ": make its folder first"
      case .permissionDenied: ": let this user write there, or choose another file"
      case .isDirectory: ": write the path of a file in it"
      case .noSuchAddressOrDevice: ": start the program that reads this pipe first"
      case .tooManyOpenFiles: ": raise the limit of open files (ulimit -n)"
      default: ""
      }
    let name = path == "-" ? "the standard output" : path.debugDescription
    return "cannot write the access log to \(name): \(cause) (errno \(cause.rawValue))\(hint)"
  }
}
