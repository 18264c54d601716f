import Glibc

/// Ends the process if a test takes longer than any may, and says which: a test that hangs would hold
/// up all others, and nobody would know.
enum TimeLimit {
  /// Generous: the machine may be busy.
  private static let seconds: UInt32 = 300

  /// What is said then. The signal's handler only reads it.
  private nonisolated(unsafe) static var text: UnsafeMutablePointer<CChar>?

  private static let isPrepared: Void = {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in
      guard let text = TimeLimit.text else { return }
      write(STDERR_FILENO, text, strlen(text))
      abort()
    }
    sigaction(SIGALRM, &action, nil)
  }()

  /// Runs a test. One at a time.
  ///
  /// - Parameter name: of the test.
  static func hold<Result>(
    _ name: String, _ body: () async throws -> Result
  ) async rethrows -> Result {
    text = strdup("\n✘ Test hangs, for \(seconds) s now: \(name)\n")
    _ = isPrepared
    alarm(seconds)
    defer {
      alarm(0)
      free(text)
      text = nil
    }
    return try await body()
  }
}
