import Glibc

/// Ctrl-C and its like: noted by a signal handler, seen by every wait, so that whoever waits ends
/// its children on the way out.
enum Interruption {
  nonisolated(unsafe) private static var number: Int32 = 0

  static func watch() {
    for number in [SIGINT, SIGTERM, SIGHUP] { signal(number) { Interruption.number = $0 } }
    // A child that has ended shows by what it prints, not by a signal.
    signal(SIGPIPE, SIG_IGN)
  }

  static func check() throws(Failure) {
    if number != 0 { throw Failure("stopped by signal \(number)") }
  }

  /// Waits, at most a little longer than asked.
  static func sleep(milliseconds: UInt32) throws(Failure) {
    usleep(milliseconds * 1_000)
    try check()
  }
}

/// A point in time at which a wait gives up.
struct Limit {
  private let end: ContinuousClock.Instant

  init(seconds: Double) { end = .now + .seconds(seconds) }

  var hasPassed: Bool { .now >= end }
}
