import CShims
import FDAsync
import FDCoordination
import FDNet
import FDPoller
import Glibc

/// Every line is the name of a store, whose watcher a `ResourceCache` starts and which a line uses;
/// there are more stores than places. The lock file of one store is held by somebody else for ever.
/// The old shape is one lock around finding and starting.
final class CacheWedge: Wedge {
  static let name = "cache"
  static let summary = "a watcher whose start waits for the lock of its store"

  private let stage: WedgeStage
  private let folder: String
  private let watchers: ResourceCache<String, StoreLock>
  private let listener: AsyncListener
  private let serving: Task<Void, Never>
  private let foreign = Kept<StoreLock?>(nil)

  private static let caller = "a caller whose store is locked"
  private static let stuckStore = "stuck"
  private static let stores = 40
  private static let places = 32

  init(_ stage: WedgeStage) async throws {
    self.stage = stage
    var template = Array("/tmp/fd-wedge-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw WedgeFailure("no folder for lock files in /tmp") }
    let folder = String(
      decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    self.folder = folder
    let watchers = ResourceCache<String, StoreLock>(
      capacity: Self.places,
      start: { try await StoreLock.take("\(folder)/\($0)") },
      stop: { $1.giveBack() })
    self.watchers = watchers
    let listener = try AsyncListener(.loopback(port: 0), on: stage.server)
    self.listener = listener
    serving = Task {
      await listener.serve { connection in
        var lines = LineReader()
        while let store = try await lines.next(connection) {
          let deadline = stage.deadline(isWedged: store == Self.stuckStore)
          do {
            let lease = try await stage.guarded {
              try await watchers.lease(store, deadline: deadline)
            }
            lease.end()
            connection.write("seen \(store)\n")
          } catch {
            connection.write("\(error)\n")
          }
        }
      }
    }
  }

  func visit(_ number: Int, _ pace: WedgePace) async throws {
    var client = try await LineClient(to: listener.address)
    try await pace.keep(number) { turn in
      let store = "store-\((number * 11 + turn * 7) % Self.stores)"
      try await client.ask(store, expecting: "seen \(store)")
    }
    client.close()
  }

  func drive() async throws {
    let lock = try await StoreLock.take("\(folder)/\(Self.stuckStore)")
    foreign.withLock { $0 = lock }
    try await stage.ask(listener.address, as: Self.caller, [Self.stuckStore])
  }

  func pull() async {
    let lock = foreign.withLock { foreign in
      defer { foreign = nil }
      return foreign
    }
    lock?.giveBack()
  }

  func end() async throws {
    listener.close()
    serving.cancel()
    await serving.value
    defer {
      for store in (0..<Self.stores).map({ "store-\($0)" }) + [Self.stuckStore] {
        unlink("\(folder)/\(store)")
      }
      rmdir(folder)
    }
    try await watchers.shutDown(deadline: stage.parameters.patience)
  }
}

/// The lock of a store, which stands for its watcher: two of one store cannot be.
final class StoreLock: Sendable {
  private let fd: Int32

  private init(_ fd: Int32) { self.fd = fd }

  /// Waits for the lock for ever, on a thread of its own.
  static func take(_ path: String) async throws -> StoreLock {
    let fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard fd >= 0 else { throw WedgeFailure("cannot open \(path)") }
    if flock(fd, LOCK_EX | LOCK_NB) != 0 { try await Waiter.wait(for: fd) }
    return StoreLock(fd)
  }

  func giveBack() { close(fd) }

  /// A thread that blocks.
  private final class Waiter {
    private let fd: Int32
    private let continuation: CheckedContinuation<Void, any Error>

    private init(_ fd: Int32, _ continuation: CheckedContinuation<Void, any Error>) {
      self.fd = fd
      self.continuation = continuation
    }

    static func wait(for fd: Int32) async throws {
      try await withCheckedThrowingContinuation { continuation in
        let context = Unmanaged.passRetained(Waiter(fd, continuation))
        var thread = pthread_t()
        let result = fdp_thread_start(
          &thread, "store-lock",
          { Unmanaged<Waiter>.fromOpaque($0.unsafelyUnwrapped).takeRetainedValue().wait() },
          context.toOpaque())
        if result == 0 {
          pthread_detach(thread)
        } else {
          context.release()
          continuation.resume(throwing: WedgeFailure("no thread to wait on"))
        }
      }
    }

    private func wait() {
      if flock(fd, LOCK_EX) == 0 {
        continuation.resume()
      } else {
        close(fd)
        continuation.resume(throwing: WedgeFailure("the store cannot be locked"))
      }
    }
  }
}
