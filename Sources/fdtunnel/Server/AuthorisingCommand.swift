import Glibc

/// A program that says by its exit code whether an agent may register: 0 is yes, 1 is no, anything
/// else that it does not know.
///
/// It gets two lines on its standard input, the id and the token, and nothing in its arguments or
/// its environment, which others can see. What it writes to its standard error stream is the reason
/// that the log shows, without the token.
struct AuthorisingCommand: Authority {
  private let path: String

  /// - Parameter path: of an executable file.
  init(_ path: String) throws(Failure) {
    guard path.contains("/"), access(path, X_OK) == 0 else {
      throw .runtime(
        "--authorize: \(path.debugDescription) is not the path of a program that can be run")
    }
    self.path = path
  }

  func check(_ credential: Credential) async throws {
    let input = Array("\(credential.id)\n".utf8) + credential.token.bytes + [10]
    let outcome = try await CommandRun.run(path, input: input)
    // One that was killed because it took too long has not said no.
    try Task.checkCancellation()
    switch outcome.status {
    case 0: return
    case 1: throw TokenRefused()
    default:
      let how =
        outcome.status < 256
        ? "exit code \(outcome.status)" : "signal \(outcome.status - 256)"
      let said = String(decoding: credential.token.redacted(outcome.errors), as: UTF8.self)
        .printable
      throw Failure.runtime("\(path) ended with \(how): \(said)")
    }
  }
}
