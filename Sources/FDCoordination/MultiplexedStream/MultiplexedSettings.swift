/// Limits of a multiplexed connection and of its streams.
public struct MultiplexedSettings: Sendable {
  /// Of one message, in bytes; both of what is sent and of what is received.
  public var largestMessage: Int
  /// How many bytes of a stream are held here until they are read; the peer gets no credit for
  /// more. While somebody waits for a message that is larger, all of that message is held.
  public var window: Int
  /// A stream's messages that wait to be sent: when they are so many bytes, another one waits.
  public var sendBuffer: Int
  /// How many streams the peer may have open at a time. Together with the window it bounds the
  /// memory of a connection whose streams nobody reads.
  public var peerStreams: Int
  /// How many new streams of the peer may wait to be taken; those beyond are refused.
  public var backlog: Int
  /// The peer took nothing of what was being written for so long: the connection ends.
  public var sendTimeout: Duration
  /// How a peer that has vanished is noticed; nil leaves it to others.
  public var heartbeat: HeartbeatSettings?

  /// - Parameters:
  ///   - largestMessage: in bytes, at least 1.
  ///   - window: in bytes, from 1 KiB to 1 GiB.
  ///   - sendBuffer: in bytes, at least 1; one message more is taken while there is less.
  ///   - peerStreams: at least 0.
  ///   - backlog: at least 1.
  ///   - sendTimeout: above zero.
  ///   - heartbeat: nil for none; what the peer asks is answered all the same.
  public init(
    largestMessage: Int = 10 << 20, window: Int = 256 << 10, sendBuffer: Int = 256 << 10,
    peerStreams: Int = 4096, backlog: Int = 4096, sendTimeout: Duration = .seconds(60),
    heartbeat: HeartbeatSettings? = HeartbeatSettings()
  ) {
    precondition(largestMessage >= 1 && sendBuffer >= 1 && peerStreams >= 0 && backlog >= 1)
    precondition(1 << 10...1 << 30 ~= window, "a window is from 1 KiB to 1 GiB")
    precondition(peerStreams <= Int(Int32.max), "stream numbers have 31 bits")
    precondition(sendTimeout > .zero, "a write needs time")
    self.largestMessage = largestMessage
    self.window = window
    self.sendBuffer = sendBuffer
    self.peerStreams = peerStreams
    self.backlog = backlog
    self.sendTimeout = sendTimeout
    self.heartbeat = heartbeat
  }
}
