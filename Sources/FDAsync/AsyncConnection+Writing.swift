public import FDNet
import FDPoller

extension AsyncConnection {
  /// Sends bytes: at once if nothing waits, copying only what the socket does not take. Never
  /// waits.
  ///
  /// - Returns: `queuedAboveWatermark` if the peer is slower than the caller: `drained()` waits for
  ///   it.
  @discardableResult
  public func write(_ bytes: RawSpan) -> WriteResult {
    checkThread()
    return hasStayed ? .refused : connection.write(bytes)
  }

  /// As `write(_:)`.
  @discardableResult
  public func write(_ bytes: [UInt8]) -> WriteResult { write(bytes.span.bytes) }

  /// As `write(_:)`, in UTF-8.
  @discardableResult
  public func write(_ text: String) -> WriteResult { write(text.utf8Span.span.bytes) }

  /// Waits until the output has fallen to the low watermark, if it has been above the high one:
  /// otherwise returns at once.
  ///
  /// - Throws: `CancellationError`; `ConnectionClosed`.
  public nonisolated(nonsending) func drained() async throws {
    checkThread()
    if hasStayed { throw ConnectionClosed(reason: try await closed()) }
    while connection.isCongested {
      if isCancelled { throw CancellationError() }
      if let closeReason { throw ConnectionClosed(reason: closeReason) }
      precondition(writer == nil, "one task at a time waits for a connection to drain")
      if isInScope {
        await withUnsafeContinuation { writer = $0 }
      } else {
        await withCancellation { continuation in
          writer = continuation
        } wake: {
          $0.wakeWriter()
        }
      }
    }
    if let closeReason { throw ConnectionClosed(reason: closeReason) }
  }

  /// Sends what is queued and then the end of the stream; input goes on (half-close).
  public func finishOutput() {
    checkThread()
    if !hasStayed { connection.finishOutput() }
  }

  /// Closes in order: see `Connection.close(awaitingPeer:)`. Reads return nil from here on.
  public func close() {
    checkThread()
    isClosingInOrder = true
    if !hasStayed { connection.close() }
    wakeReader()
  }

  /// Closes at once, by a reset over TCP; queued output is lost.
  public func abort() {
    checkThread()
    if !hasStayed { connection.abort() }
  }

  /// Waits until the connection is gone.
  ///
  /// - Returns: why it is.
  /// - Throws: `CancellationError`.
  public nonisolated(nonsending) func closed() async throws -> CloseReason {
    checkThread()
    while true {
      if let closeReason { return closeReason }
      if isCancelled { throw CancellationError() }
      if isInScope {
        await withUnsafeContinuation { mourners.append($0) }
      } else {
        await withCancellation { continuation in
          mourners.append(continuation)
        } wake: {
          $0.wakeMourners()
        }
      }
    }
  }
}
