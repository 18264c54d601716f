import FDPoller

/// Limits and deadlines of connections. Many connections share one object; what it says is fixed.
public final class ConnectionSettings: Sendable {
  /// Output above this many bytes makes `write` say so, and input should be paused.
  public let highWatermark: Int
  /// `drained` is called when the output has fallen to this many bytes.
  public let lowWatermark: Int
  /// Nothing moved in either direction for so long while the connection was reading or had output
  /// queued; nil is for ever. While it is paused with nothing queued it does not wait for its peer.
  public let idleDeadline: Duration?
  /// The peer sent nothing for so long while the connection was reading.
  public let readDeadline: Duration?
  /// The peer took no output for so long.
  public let writeDeadline: Duration?
  /// How long a close in order may rest, the peer taking nothing of what is queued nor ending its
  /// side, until it becomes an abrupt one.
  public let drainDeadline: Duration
  /// Sends small writes at once (TCP_NODELAY, tcp(7)).
  public let noDelay: Bool

  package let nanoseconds: Nanoseconds

  /// The deadlines as the loop counts; 0 is for ever.
  package struct Nanoseconds: Sendable {
    let idle, read, write, drain: UInt64
  }

  /// - Parameters:
  ///   - highWatermark: bytes, at least 1.
  ///   - lowWatermark: bytes, below the high one.
  ///   - idleDeadline: for both directions; nil is for ever.
  ///   - readDeadline: for input; nil is for ever.
  ///   - writeDeadline: for output; nil is for ever.
  ///   - drainDeadline: for a close in order.
  ///   - noDelay: whether small writes go at once.
  public init(
    highWatermark: Int = 256 << 10, lowWatermark: Int = 64 << 10,
    idleDeadline: Duration? = nil, readDeadline: Duration? = nil, writeDeadline: Duration? = nil,
    drainDeadline: Duration = .seconds(5), noDelay: Bool = true
  ) {
    precondition(
      0 <= lowWatermark && lowWatermark < highWatermark, "the low watermark is below the high one")
    self.highWatermark = highWatermark
    self.lowWatermark = lowWatermark
    self.idleDeadline = idleDeadline
    self.readDeadline = readDeadline
    self.writeDeadline = writeDeadline
    self.drainDeadline = drainDeadline
    self.noDelay = noDelay
    nanoseconds = Nanoseconds(
      idle: idleDeadline?.wholeNanoseconds ?? 0, read: readDeadline?.wholeNanoseconds ?? 0,
      write: writeDeadline?.wholeNanoseconds ?? 0, drain: drainDeadline.wholeNanoseconds)
  }
}
