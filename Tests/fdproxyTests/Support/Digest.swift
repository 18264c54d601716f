import Glibc
import TestKit

/// The SHA-256 of a stream of bytes, by sha256sum(1).
final class Digest: @unchecked Sendable {
  private var input: Int32
  private let output: Int32
  private let pid: pid_t
  private(set) var count = 0

  init() {
    let (theirInput, ourInput) = makePipe()
    let (ourOutput, theirOutput) = makePipe()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, theirInput, 0)
    posix_spawn_file_actions_adddup2(&actions, theirOutput, 1)
    var pid: pid_t = 0
    var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sha256sum"), nil]
    defer { free(arguments[0]) }
    let result = posix_spawnp(&pid, "sha256sum", &actions, nil, &arguments, environ)
    precondition(result == 0, "a test needs sha256sum, of coreutils")
    close(theirInput)
    close(theirOutput)
    (input, output, self.pid) = (ourInput, ourOutput, pid)
  }

  deinit { _ = finish() }

  func add(_ bytes: UnsafeRawBufferPointer) {
    var written = 0
    while written < bytes.count {
      let count = write(input, bytes.baseAddress! + written, bytes.count - written)
      precondition(count > 0, "sha256sum has gone away")
      written += count
    }
    count += bytes.count
  }

  /// The digest in hexadecimal. Called once.
  func finish() -> String {
    guard input >= 0 else { return "" }
    close(input)
    input = -1
    var text = [UInt8](repeating: 0, count: 64)
    var length = 0
    while length < text.count {
      let count = text.withUnsafeMutableBytes {
        read(output, $0.baseAddress! + length, 64 - length)
      }
      guard count > 0 else { break }
      length += count
    }
    close(output)
    waitpid(pid, nil, 0)
    return String(decoding: text[..<length], as: UTF8.self)
  }
}

/// Bytes without a pattern, the same for the same seed.
struct ByteStream {
  static let chunk = 1 << 20

  private var state: UInt64
  private var buffer = [UInt64](repeating: 0, count: chunk / 8)

  init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

  /// By Marsaglia's xorshift64*.
  mutating func next() -> UInt64 {
    state ^= state >> 12
    state ^= state << 25
    state ^= state >> 27
    return state &* 0x2545_f491_4f6c_dd1d
  }

  /// Lends the next chunk.
  mutating func withNext<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    for index in buffer.indices { buffer[index] = next() }
    return buffer.withUnsafeBytes(body)
  }
}
