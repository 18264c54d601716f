public import FDNet
import FDPoller

/// A stream socket for Swift tasks: a `Connection` that is read and written by `await`.
///
/// It is the executor of its tasks, which run on the loop that the connection is on: the code
/// between two waits is on the thread that gets the events, so nothing is locked or handed over.
/// When the connection moves to another loop its tasks follow. `run(_:)` gives it a task and closes
/// it at the end; `detach(_:)` adds one; a plain `Task { }` runs elsewhere.
///
/// Everything but `move(to:)`, `run` and `detach` is for the connection's own tasks, and traps when
/// it is called on another thread than its loop's. One task at a time reads.
///
/// Waits end with `CancellationError` when their task is cancelled, and with `ConnectionClosed` when
/// the connection is gone.
public final class AsyncConnection: TaskExecutor, @unchecked Sendable {
  /// The connection itself, whose handler this object is: for its addresses, settings and state.
  public let connection: Connection
  /// Where its tasks run.
  let home: TaskHome

  // What follows is the home loop's alone, and no access lasts while other code of it runs.

  /// The bytes of the event that is being dealt with, as far as they are not read.
  @exclusivity(unchecked) var arrived = UnsafeRawBufferPointer(start: nil, count: 0)
  /// Bytes that were received and that nobody has read while their event lasted.
  @exclusivity(unchecked) var leftover = ByteQueue()
  @exclusivity(unchecked) var reader: UnsafeContinuation<Void, Never>?
  @exclusivity(unchecked) var writer: UnsafeContinuation<Void, Never>?
  /// Waiting for the very end.
  @exclusivity(unchecked) var mourners: [UnsafeContinuation<Void, Never>] = []
  @exclusivity(unchecked) var inputHasEnded = false
  /// `close()` was called.
  @exclusivity(unchecked) var isClosingInOrder = false
  @exclusivity(unchecked) var closeReason: CloseReason?
  /// The task that `run` has given it, and whether that is cancelled. Its waits need no
  /// cancellation handler of their own.
  @exclusivity(unchecked) var scope: Scope?
  /// The connections that move when this one does; nil if it is alone.
  @exclusivity(unchecked) var group: MoveGroup?
  @exclusivity(unchecked) var isMoving = false
  /// It ended while its tasks moved: it is another loop's, which will tell why.
  @exclusivity(unchecked) var hasStayed = false
  /// What keeps it from moving: connections that are being made for one of its tasks, or a task that
  /// uses it and could not follow.
  var pins = 0

  /// Takes a connection's events from here on. On the connection's loop.
  ///
  /// - Parameter connection: open; from here on it is used through this object only.
  public convenience init(_ connection: Connection) {
    self.init(withoutEvents: connection)
    connection.setHandler(events)
  }

  /// As `init(_:)`, but somebody else makes `events` the connection's handler, on the same tick.
  init(withoutEvents connection: Connection) {
    self.connection = connection
    home = TaskHome(on: connection.loop)
    home.serve(self)
    connection.setWantsInput(false)
  }

  /// What the connection is to tell its events.
  var events: any ConnectionHandler { Events(self) }

  /// Queues a piece of a task. Called by the Swift runtime, from any thread.
  public func enqueue(_ job: consuming ExecutorJob) { home.enqueue(UnownedJob(job)) }

  /// Used by the Swift runtime.
  public func asUnownedTaskExecutor() -> UnownedTaskExecutor {
    UnownedTaskExecutor(ordinary: self)
  }

  /// Traps unless the calling thread is that of the loop.
  @inline(__always)
  func checkThread() {
    precondition(
      home.isCurrent,
      "a connection is used on its loop: by its own tasks, from `run` or `detach`, not by `Task {}`"
    )
  }

  /// Does something on the connection's loop, wherever that is by then. Callable from any thread.
  func onHome(_ body: @escaping @Sendable () -> Void) {
    Task(executorPreference: self) { body() }
  }
}

// MARK: - Events

/// Tells an asynchronous connection what its handler is told, and keeps it for as long as the
/// descriptor is open.
private final class Events: ConnectionHandler {
  let subject: AsyncConnection

  init(_ subject: AsyncConnection) { self.subject = subject }

  func received(_ bytes: RawSpan, on connection: Connection) {
    bytes.withUnsafeBytes { subject.take($0) }
  }

  func inputEnded(on connection: Connection) { subject.inputEnded() }

  func drained(_ connection: Connection) { subject.wakeWriter() }

  func closed(_ connection: Connection, _ reason: CloseReason) { subject.closed(reason) }
}

extension AsyncConnection {
  /// Gives bytes to whoever waits, within the event, so that nobody has to copy them.
  fileprivate func take(_ bytes: UnsafeRawBufferPointer) {
    guard let reader, !isMoving, leftover.isEmpty else { return keep(bytes) }
    self.reader = nil
    arrived = bytes
    reader.resume()
    // Queued right now, and run before the memory is used again.
    EventLoop.runJobsHere()
    connection.setWantsInput(self.reader != nil)
    guard !arrived.isEmpty else { return }
    keep(arrived)
    arrived = UnsafeRawBufferPointer(start: nil, count: 0)
  }

  private func keep(_ bytes: UnsafeRawBufferPointer) {
    leftover.append(bytes)
    connection.setWantsInput(false)
  }

  fileprivate func inputEnded() {
    inputHasEnded = true
    if !isMoving { wakeReader() }
  }

  fileprivate func closed(_ reason: CloseReason) {
    // What could not move along with the rest ends on the loop that it has come from.
    guard home.isCurrent else { return onHome { self.noteClosed(reason) } }
    noteClosed(reason)
  }

  private func noteClosed(_ reason: CloseReason) {
    closeReason = reason
    wakeReader()
    wakeWriter()
    wakeMourners()
  }

  func wakeMourners() {
    let mourners = mourners
    self.mourners = []
    for mourner in mourners { mourner.resume() }
  }

  func wakeReader() {
    guard let reader else { return }
    self.reader = nil
    reader.resume()
  }

  func wakeWriter() {
    guard let writer else { return }
    self.writer = nil
    writer.resume()
  }
}

extension AsyncConnection: CustomStringConvertible {
  /// The descriptor and the loop.
  public var description: String { "\(connection.handle) on \(home.loop)" }
}
