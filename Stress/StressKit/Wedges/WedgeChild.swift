import CShims
import Glibc

/// A process that a wedge stops. Callable from any thread.
///
/// It ends when its standard input does, so not later than this process, even if it is stopped then:
/// it is a process group of its own, which the kernel continues when nobody is left who could.
final class WedgeChild: Sendable {
  private let pid: pid_t
  /// The ends of its standard input and output that are here.
  private let input: Int32
  private let output: Int32
  private let isEnded = Kept(false)

  /// - Parameters:
  ///   - role: what it is, and what it needs for that.
  ///   - stage: knows the program.
  ///   - prefix: a command that runs another one.
  init(_ role: WedgeChildRole, on stage: WedgeStage, prefix: [String] = []) throws {
    let arguments = prefix + stage.parameters.program + role.arguments
    var pipes = (input: [Int32](repeating: -1, count: 2), output: [Int32](repeating: -1, count: 2))
    guard pipe(&pipes.input) == 0, pipe(&pipes.output) == 0 else {
      throw WedgeFailure("no pipe for a child process")
    }
    for fd in pipes.input + pipes.output { _ = fcntl(fd, F_SETFD, FD_CLOEXEC) }
    defer {
      close(pipes.input[0])
      close(pipes.output[1])
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, pipes.input[0], STDIN_FILENO)
    posix_spawn_file_actions_adddup2(&actions, pipes.output[1], STDOUT_FILENO)
    // It must not keep open what this process has.
    for descriptor in STDERR_FILENO + 1..<min(getdtablesize(), 4096) {
      posix_spawn_file_actions_addclose(&actions, descriptor)
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    let argv = arguments.map { strdup($0) } + [nil]
    defer { for argument in argv { free(argument) } }
    var pid = pid_t()
    let refusal = posix_spawnp(&pid, arguments[0], &actions, &attributes, argv, environ)
    self.pid = pid
    (input, output) = (pipes.input[1], pipes.output[0])
    guard refusal == 0 else {
      isEnded.withLock { $0 = true }
      close(input)
      close(output)
      throw WedgeFailure("cannot run \(arguments[0]): \(String(cString: strerror(refusal)))")
    }
    _ = fcntl(output, F_SETFL, O_NONBLOCK)
  }

  deinit { end() }

  /// Waits until it has said that it is ready.
  ///
  /// - Returns: the line that says so.
  func ready() async throws -> String {
    var bytes: [UInt8] = []
    let end = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < end {
      var byte: UInt8 = 0
      let count = fdp_read(output, &byte, 1)
      if count == 1, byte == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
      if count == 1 {
        bytes.append(byte)
      } else if count == -Int(EAGAIN) {
        try await Task.sleep(for: .milliseconds(2))
      } else {
        break
      }
    }
    throw WedgeFailure("a child process does not get ready")
  }

  /// It does nothing any more, and nobody is told.
  func stop() { kill(pid, SIGSTOP) }

  func resume() { kill(pid, SIGCONT) }

  /// Kills it, and waits until it is gone.
  func end() {
    let isFirst = isEnded.withLock { isEnded in
      defer { isEnded = true }
      return !isEnded
    }
    guard isFirst else { return }
    kill(pid, SIGKILL)
    var status: Int32 = 0
    waitpid(pid, &status, 0)
    close(input)
    close(output)
  }
}
