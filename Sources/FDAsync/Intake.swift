import DequeModule
import FDNet
import FDPoller

/// Connections that were accepted and that nobody has taken yet, and tasks that wait for one. Any
/// thread.
///
/// Those who wait for the clients of one loop and those who take any are never both there with a
/// client in the queue that one of them could have.
final class Intake: @unchecked Sendable {
  private typealias Waiter = UnsafeContinuation<AsyncConnection?, Never>

  private let lock = PlatformLock()
  /// Held while the listener is told, so that the last word is the right one.
  private let telling = PlatformLock()
  private var hasToldFull = false
  // Guarded by the lock.

  /// By loop.
  private var queues: [Deque<AsyncConnection>]
  private var waiters: [(number: UInt64, loop: Int?, waiter: Waiter)] = []
  private var lastNumber: UInt64 = 0
  private var waiting = 0
  private var isFull = false
  private var isClosed = false
  private var isAbandoned = false
  private var fullChanged: @Sendable (Bool) -> Void = { _ in }

  init(loops: Int) { queues = Array(repeating: Deque(), count: loops) }

  /// Set once, before it can matter.
  func whenFull(_ body: @escaping @Sendable (Bool) -> Void) {
    lock.withLock { fullChanged = body }
    tell()
  }

  /// Tells whether it is full, if that is news.
  private func tell() {
    telling.withLock {
      let (isFull, fullChanged) = lock.withLock { (self.isFull, self.fullChanged) }
      guard isFull != hasToldFull else { return }
      hasToldFull = isFull
      fullChanged(isFull)
    }
  }

  /// Gives a client to whoever has waited longest, or keeps it.
  ///
  /// - Returns: false if nobody will take it.
  func offer(_ connection: AsyncConnection, at loop: Int) -> Bool {
    var isTaken = true
    let (taker, isNews) = lock.withLock { () -> (Waiter?, Bool) in
      // A loop that shares the socket may still accept when another one has closed it.
      if isAbandoned || isClosed {
        isTaken = false
        return (nil, false)
      }
      if let index = waiters.firstIndex(where: { $0.loop == nil || $0.loop == loop }) {
        return (waiters.remove(at: index).waiter, false)
      }
      queues[loop].append(connection)
      waiting += 1
      guard !isFull, waiting >= AsyncListener.mostWaiting else { return (nil, false) }
      isFull = true
      return (nil, true)
    }
    taker?.resume(returning: connection)
    if isNews { tell() }
    return isTaken
  }

  /// - Parameter loop: whose clients to take; nil is any.
  /// - Returns: nil when all are taken and no more will come.
  /// - Throws: `CancellationError`.
  nonisolated(nonsending) func next(at loop: Int?) async throws -> AsyncConnection? {
    let number = lock.withLock {
      lastNumber += 1
      return lastNumber
    }
    let connection = await withTaskCancellationHandler {
      await withUnsafeContinuation { wait($0, at: loop, number) }
    } onCancel: {
      cancel(number)
    }
    // Orders what the accepting loop has made before this, in the eyes of ThreadSanitizer too.
    lock.withLock {}
    if connection == nil { try Task.checkCancellation() }
    return connection
  }

  private func wait(_ waiter: Waiter, at loop: Int?, _ number: UInt64) {
    enum Outcome {
      case take(AsyncConnection?, isNews: Bool)
      case wait
    }
    let outcome = lock.withLock { () -> Outcome in
      if let connection = pop(at: loop) {
        guard isFull, waiting <= AsyncListener.mostWaiting / 2, !isClosed else {
          return .take(connection, isNews: false)
        }
        isFull = false
        return .take(connection, isNews: true)
      }
      // Of a task that is cancelled after this the handler comes later, and finds it.
      if isClosed || Task.isCancelled { return .take(nil, isNews: false) }
      waiters.append((number, loop, waiter))
      return .wait
    }
    guard case .take(let connection, let isNews) = outcome else { return }
    if isNews { tell() }
    waiter.resume(returning: connection)
  }

  /// With the lock held.
  private func pop(at loop: Int?) -> AsyncConnection? {
    guard waiting > 0 else { return nil }
    let index = loop ?? queues.firstIndex { !$0.isEmpty }
    guard let index, let connection = queues[index].popFirst() else { return nil }
    waiting -= 1
    return connection
  }

  private func cancel(_ number: UInt64) {
    let waiter = lock.withLock {
      waiters.firstIndex { $0.number == number }.map { waiters.remove(at: $0).waiter }
    }
    waiter?.resume(returning: nil)
  }

  /// Nobody will be offered any more: those who wait go without.
  func close() {
    let rest = lock.withLock {
      isClosed = true
      defer { waiters.removeAll() }
      return waiters
    }
    for one in rest { one.waiter.resume(returning: nil) }
  }

  /// Nobody will take any more, either: those who are left are reset.
  func abandon() {
    let rest = lock.withLock {
      isAbandoned = true
      let rest = queues.flatMap { $0 }
      for index in queues.indices { queues[index].removeAll() }
      waiting = 0
      return rest
    }
    for connection in rest { connection.onHome { connection.abort() } }
  }
}
