import CShims
import FDCoordination
import FDPoller
import Glibc
import SystemPackage

/// One run of a program, on a thread of its own, which sleeps while the program works.
///
/// What the program has started ends with it, and all of it is killed when the task that waits is
/// cancelled.
final class CommandRun: @unchecked Sendable {
  /// What a run came to.
  struct Outcome: Sendable {
    /// The exit code, or 256 and the number of the signal that ended it.
    let status: CInt
    /// What it wrote to its standard error stream, as far as it is kept.
    let errors: [UInt8]
  }

  private static let mostErrors = 4096
  private static let environment = "PATH=/usr/local/bin:/usr/bin:/bin"

  private let path: String
  private let input: [UInt8]
  private let waiter = AsyncWaiter<Result<Outcome, any Error>>()
  private let lock = PlatformLock()

  // Under the lock.
  /// Until it is reaped.
  private var leader: pid_t?
  private var isCancelled = false

  private init(_ path: String, input: [UInt8]) {
    self.path = path
    self.input = input
  }

  /// Runs a program to its end, without arguments, and with nothing but PATH in its environment.
  ///
  /// - Parameter input: for its standard input; what fits into a pipe (pipe(7)).
  static func run(_ path: String, input: [UInt8]) async throws -> Outcome {
    let run = CommandRun(path, input: input)
    try run.start()
    return try await run.waiter.outcome(onCancel: { run.cancel() }).get()
  }

  private func start() throws {
    var thread = pthread_t()
    let context = Unmanaged.passRetained(self)
    let result = fdp_thread_start(
      &thread, "fd-command",
      { context in
        let run = Unmanaged<CommandRun>.fromOpaque(context.unsafelyUnwrapped).takeRetainedValue()
        run.waiter.offer(Result { try run.work() })
      }, context.toOpaque())
    guard result == 0 else {
      context.release()
      throw Failure.runtime("there is no thread to run \(path): \(Errno(rawValue: -result))")
    }
    pthread_detach(thread)
  }

  private func cancel() {
    lock.withLock {
      isCancelled = true
      if let leader { fdp_kill_group(leader) }
    }
  }

  // MARK: On the thread

  private func work() throws -> Outcome {
    let (pipe, errors, exit) = try spawn()
    defer { for descriptor in [errors, exit] { _ = fdp_close(descriptor) } }
    // A program that does not want it need not read it.
    _ = input.withUnsafeBytes { fdp_write(pipe, $0.baseAddress, $0.count) }
    _ = fdp_close(pipe)
    _ = fdp_set_nonblocking(errors)
    var said: [UInt8] = []
    while true {
      let ready = fdp_poll_either(errors, exit)
      if ready & 2 != 0 || ready < 0 { break }
      // It has closed the stream and goes on.
      if Self.read(errors, into: &said) == 0 {
        _ = fdp_poll_either(exit, exit)
        break
      }
    }
    // What it has said last, as far as it is kept.
    while said.count < Self.mostErrors, Self.read(errors, into: &said) > 0 {}
    return Outcome(status: try reap(), errors: said)
  }

  private func spawn() throws -> (input: CInt, errors: CInt, exit: CInt) {
    if lock.withLock({ isCancelled }) { throw CancellationError() }
    var (input, errors, exit): (CInt, CInt, CInt) = (-1, -1, -1)
    var environment = [strdup(Self.environment), nil]
    defer { free(environment[0]) }
    var pid: pid_t = 0
    let result = fdp_spawn(path, &environment, &input, &errors, &pid, &exit)
    guard result == 0 else {
      throw Failure.runtime("cannot run \(path): \(Errno(rawValue: -result))")
    }
    lock.withLock {
      leader = pid
      // Since it was looked.
      if isCancelled { fdp_kill_group(pid) }
    }
    return (input, errors, exit)
  }

  /// Reads once, so that who writes without end is heard of when it exits; what is too much is
  /// dropped.
  ///
  /// - Returns: how much there was; 0 if no more comes, less if nothing has come yet.
  private static func read(_ errors: CInt, into said: inout [UInt8]) -> Int {
    withUnsafeTemporaryAllocation(byteCount: mostErrors, alignment: 1) { buffer in
      let count = fdp_read(errors, buffer.baseAddress, buffer.count)
      if count > 0 { said += buffer[..<min(count, mostErrors - said.count)] }
      return count
    }
  }

  private func reap() throws -> CInt {
    let pid: pid_t = lock.withLock {
      guard let pid = leader else { preconditionFailure("it was spawned") }
      fdp_kill_group(pid)
      // Its number may be another's once it is reaped.
      leader = nil
      return pid
    }
    // Outside of the lock, for which a loop may wait.
    let status = fdp_reap(pid)
    guard status >= 0 else {
      let reason = Errno(rawValue: -status)
      throw Failure.runtime("cannot learn how \(path) has ended: \(reason)")
    }
    return status
  }
}
