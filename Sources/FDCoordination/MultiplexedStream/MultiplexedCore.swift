import FDNet
import FDPoller
import SystemPackage

/// Carries out what `MultiplexedState` decides, on a real connection.
///
/// The state is under a lock and not confined to the loop, because it is the faster and the simpler
/// choice: a send or a receive that need not wait is over within the call, on whatever thread it
/// is, without a hop to the loop and back (20 to 50 us each way from a thread of the concurrency
/// pool). The loop is asked only to write, once for all that has been queued until it comes to it.
/// The lock is held for the book-keeping alone: never while bytes are copied or written, a task is
/// resumed, or anything else of a user's runs. It is the platform's mutex, because ThreadSanitizer
/// does not see that of the Synchronization module.
///
/// What is not the state belongs to the loop: the connection, the parser, the timers.
final class MultiplexedCore: ConnectionHandler, @unchecked Sendable {
  let lock = PlatformLock()
  // Guarded by the lock.
  var state: MultiplexedState
  var place: Place
  /// What is to be done once the connection has arrived where it moves to.
  var errands: [Errand] = []

  // The loop's alone.
  let connection: Connection
  let settings: MultiplexedSettings
  private var parser = FrameParser()
  private var frames: [Frame] = []
  private var batch: [Frame] = []
  private(set) var isOver = false
  let watch: ConnectionWatch

  enum Place {
    case on(EventLoop)
    case moving
  }

  /// What only the loop can do.
  enum Errand {
    case flush
    case close
    case move(EventLoop)
  }

  /// How much is put together for one write, and how many writes a turn has.
  private static var batchCount: Int { 128 << 10 }
  private static var batchesPerTurn: Int { 16 }

  /// On the loop.
  init(_ connection: Connection, _ settings: MultiplexedSettings, isClient: Bool) {
    precondition(connection.loop.isCurrent, "a connection is multiplexed on its loop")
    self.connection = connection
    self.settings = settings
    state = MultiplexedState(settings, isClient: isClient)
    place = .on(connection.loop)
    watch = ConnectionWatch(settings)
  }

  /// On the loop.
  func start() {
    connection.setHandler(self)
    watch.start(self)
    performHere { _ in }
  }

  // MARK: The state

  /// Changes the state, and does what follows from it. Callable from any thread.
  @discardableResult
  func perform<Result>(_ body: (inout MultiplexedState) -> Result) -> Result {
    let (result, effects) = lock.withLock {
      let result = body(&state)
      return (result, state.takeEffects())
    }
    for resumption in effects.resumptions { resumption.resume() }
    if effects.wantsFlush { post(.flush) }
    return result
  }

  /// As `perform`, on the loop: what is to be written is written at once.
  private func performHere(_ body: (inout MultiplexedState) -> Void) {
    let effects = lock.withLock {
      body(&state)
      return state.takeEffects()
    }
    for resumption in effects.resumptions { resumption.resume() }
    if let number = effects.answer, let roundTrip = watch.answered(number) {
      lock.withLock { state.roundTrip = roundTrip }
    }
    switch effects.ending {
    case .inOrder: finish { connection.close() }
    case .abruptly: finish { connection.abort() }
    case nil: if effects.wantsFlush { flush() }
    }
  }

  /// Waits until the waiter is settled, which the state does, or the task's cancellation.
  nonisolated(nonsending) func wait(for waiter: StreamWaiter) async throws {
    await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        if !lock.withLock({ waiter.suspend(continuation) }) { continuation.resume() }
      }
    } onCancel: {
      perform { $0.cancel(waiter) }
    }
    switch lock.withLock({ waiter.outcome }) {
    case .look, nil: return
    case .cancelled: throw CancellationError()
    case .failed(let error): throw error
    }
  }

  // MARK: Output

  /// Writes what is to go out, until the connection has enough, which then asks for more itself.
  func flush() {
    guard isHere, !isOver else { return }
    for _ in 0..<Self.batchesPerTurn {
      guard !connection.isCongested else { return }
      guard connection.isWritable else { return perform { $0.dropOutput() } }
      var areMore = false
      perform { areMore = $0.takeFrames(into: &batch, limit: Self.batchCount) }
      writeBatch()
      guard areMore else { return }
    }
    // The other connections of the loop have their turn.
    post(.flush)
  }

  private func writeBatch() {
    guard !batch.isEmpty else { return }
    let count = batch.reduce(0) { $0 + $1.encodedCount }
    withUnsafeTemporaryAllocation(byteCount: count, alignment: 16) { buffer in
      var end = buffer.baseAddress.unsafelyUnwrapped
      for frame in batch { end += frame.encode(into: end) }
      connection.write(UnsafeRawBufferPointer(buffer))
    }
    batch.removeAll(keepingCapacity: true)
    watch.noteOutput(self)
  }

  func drained(_ connection: Connection) { flush() }

  // MARK: Input

  func received(_ bytes: RawSpan, on connection: Connection) {
    guard !isOver else { return }
    watch.heard(at: connection.loop.tickTime)
    var failure: FrameError?
    do { try parser.parse(bytes, into: &frames) } catch { failure = error }
    if frames.isEmpty, failure == nil { return }
    performHere {
      $0.received(frames)
      if let failure { $0.fail(failure) }
    }
    frames.removeAll(keepingCapacity: true)
  }

  func inputEnded(on connection: Connection) {
    performHere {
      $0.end(.endOfInput)
      $0.effects.ending = .inOrder
    }
  }

  func closed(_ connection: Connection, _ reason: CloseReason) {
    finish {}
    perform { $0.end(MultiplexedError(reason)) }
  }

  // MARK: Ending

  /// Nothing is done with the connection after this. On the loop.
  private func finish(_ close: () -> Void) {
    guard !isOver else { return }
    isOver = true
    watch.stop(self)
    perform { $0.dropOutput() }
    close()
  }

  /// The connection is found dead. On the loop.
  func fail(_ error: MultiplexedError) {
    performHere {
      $0.end(error)
      $0.effects.ending = .abruptly
    }
  }

  /// The peer is to be asked whether it is there. On the loop.
  func probe(_ number: UInt64) { performHere { $0.ping = number } }

  /// Every wait ends at once; the loop does the rest. Callable from any thread.
  func close() {
    let isNews = perform { state in
      defer { state.end(.closed) }
      return state.failure == nil
    }
    if isNews { post(.close) }
  }

  /// Closed here: what can go without waiting goes first.
  func sayGoodbye() {
    flush()
    lock.withLock {
      state.dropOutput()
      state.controls.append(.goodbye)
      _ = state.takeFrames(into: &batch, limit: 1)
    }
    writeBatch()
    finish { connection.close() }
  }
}
