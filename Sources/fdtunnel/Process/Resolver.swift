import CShims
import FDCoordination
import FDNet
import Glibc

/// Looks host names up, which blocks a thread and cannot be called off (getaddrinfo(3)): each on a
/// thread of its own, and nobody waits longer than he wants to.
enum Resolver {
  /// - Parameters:
  ///   - text: as `SocketAddress.resolve` takes it. What is no name is read at once.
  ///   - limit: how long it may take.
  /// - Returns: at least one address.
  static func resolve(_ text: String, within limit: Duration) async throws -> [SocketAddress] {
    if let address = try? SocketAddress(parsing: text) { return [address] }
    let waiter = AsyncWaiter<Result<[SocketAddress], any Error>>()
    try start(Question(text: text, waiter: waiter))
    let timer = Task.detached {
      guard (try? await Task.sleep(for: limit)) != nil else { return }
      waiter.offer(.failure(Failure.runtime("looking up \(text) has taken longer than \(limit)")))
    }
    defer { timer.cancel() }
    return try await waiter.outcome { waiter.offer(.failure(CancellationError())) }.get()
  }

  private final class Question: Sendable {
    let text: String
    let waiter: AsyncWaiter<Result<[SocketAddress], any Error>>

    init(text: String, waiter: AsyncWaiter<Result<[SocketAddress], any Error>>) {
      self.text = text
      self.waiter = waiter
    }

    func answer() { waiter.offer(Result { try SocketAddress.resolve(text) }) }
  }

  private static func start(_ question: Question) throws {
    var thread = pthread_t()
    let context = Unmanaged.passRetained(question)
    let result = fdp_thread_start(
      &thread, "fd-resolver",
      { context in
        Unmanaged<Question>.fromOpaque(context.unsafelyUnwrapped).takeRetainedValue().answer()
      }, context.toOpaque())
    guard result == 0 else {
      context.release()
      throw Failure.runtime("there is no thread to look \(question.text) up: errno \(-result)")
    }
    pthread_detach(thread)
  }
}
