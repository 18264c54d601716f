import FDNet
import FDPoller

extension AsyncConnection {
  /// Waits for bytes and shows them where they are: in the loop's buffer, or the ring's.
  ///
  /// - Parameter body: gets at least one byte, all that there are at the moment. They count as read
  ///   when it returns or throws, and are valid until then.
  /// - Returns: what the body returns; nil if the peer has sent all it will.
  /// - Throws: what the body throws; `CancellationError`; `ConnectionClosed`.
  public nonisolated(nonsending) func read<Result>(
    _ body: (RawSpan) throws -> Result
  ) async throws -> Result? {
    while !hasInput {
      guard try mayWaitForInput() else { return nil }
      await waitForInput()
    }
    return try withInput { try body($0.bytes) }
  }

  /// Waits for bytes and copies them, as many as there are and fit.
  ///
  /// - Parameter buffer: where to append them; it must have room.
  /// - Returns: how many were appended, at least one; nil if the peer has sent all it will.
  /// - Throws: `CancellationError`; `ConnectionClosed`.
  public nonisolated(nonsending) func read(
    into buffer: inout OutputRawSpan
  ) async throws -> Int? {
    precondition(buffer.freeCapacity > 0, "a read needs room for a byte at least")
    while !hasInput {
      guard try mayWaitForInput() else { return nil }
      await waitForInput()
    }
    let source = arrived.isEmpty ? leftover.bytes : arrived
    let count = min(source.count, buffer.freeCapacity)
    buffer.withUnsafeMutableBytes { memory, initialized in
      UnsafeMutableRawBufferPointer(rebasing: memory[initialized...])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[..<count]))
      initialized += count
    }
    consume(count)
    return count
  }

  /// What is read, in pieces that belong to the caller: one allocation and one copy each. Ends when
  /// the peer has sent all it will. `read(_:)` does without either.
  public var inbound: Inbound { Inbound(connection: self) }

  /// The input of a connection. One task at a time iterates over it.
  public struct Inbound: AsyncSequence, AsyncIteratorProtocol {
    fileprivate let connection: AsyncConnection

    /// The same sequence: every iterator goes on where the last one stopped.
    public func makeAsyncIterator() -> Inbound { self }

    /// The next piece, at least one byte; nil if the peer has sent all it will.
    ///
    /// - Throws: as `AsyncConnection.read(_:)`.
    public nonisolated(nonsending) func next() async throws -> [UInt8]? {
      try await connection.read { bytes in bytes.withUnsafeBytes(Array.init) }
    }
  }
}

// MARK: - What a read is made of

extension AsyncConnection {
  @inline(__always)
  private var hasInput: Bool {
    checkThread()
    return !arrived.isEmpty || !leftover.isEmpty
  }

  private func withInput<Result>(
    _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    let bytes = arrived.isEmpty ? leftover.bytes : arrived
    defer { consume(bytes.count) }
    return try body(bytes)
  }

  private func consume(_ count: Int) {
    if arrived.isEmpty {
      leftover.removeFirst(count)
    } else {
      arrived = UnsafeRawBufferPointer(rebasing: arrived[count...])
    }
  }

  /// - Returns: false if there will be no input any more.
  private func mayWaitForInput() throws -> Bool {
    if isCancelled { throw CancellationError() }
    if inputHasEnded { return false }
    if let closeReason {
      if closeReason == .finished { return false }
      throw ConnectionClosed(reason: closeReason)
    }
    // A close in order discards what is still to come; any other end is about to be told.
    if isClosingInOrder { return false }
    precondition(reader == nil, "one task at a time reads a connection, and another one does")
    return true
  }

  private nonisolated(nonsending) func waitForInput() async {
    if !hasStayed {
      connection.setWantsInput(true)
      connection.resumeReading()
    }
    if isInScope {
      await withUnsafeContinuation { reader = $0 }
    } else {
      await withCancellation { continuation in
        reader = continuation
      } wake: {
        $0.wakeReader()
      }
    }
  }
}
