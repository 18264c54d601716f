import FDPoller

/// How a silent peer is asked whether it is still there.
public struct HeartbeatSettings: Sendable, Hashable {
  /// How long the peer may be silent until it is asked.
  public var interval: Duration
  /// How long an answer may take, unless the last round trip was longer than two thirds of this.
  public var timeout: Duration

  /// - Parameters:
  ///   - interval: above zero.
  ///   - timeout: above zero.
  public init(interval: Duration = .seconds(15), timeout: Duration = .seconds(15)) {
    precondition(interval > .zero && timeout > .zero, "a heartbeat takes time")
    self.interval = interval
    self.timeout = timeout
  }
}

/// Notices a peer that has vanished without a word: no FIN, no reset, nothing.
///
/// A peer that is silent for the interval is asked. An answer may take the timeout, or one and a
/// half of the last round trip if that is longer; the peer is asked once more; two misses in a row
/// are death. Any byte of the peer, an answer or not, is life: it begins anew. So a vanished peer
/// is noticed after the interval and two timeouts.
///
/// The time comes as an argument, in nanoseconds on any clock that never goes back, and nothing is
/// done here but counting: whoever owns it asks `fire` when `due` has come, and does what it says.
/// What a `MultiplexedConnection` does with it any other protocol with a ping can do.
public struct Heartbeat: Sendable {
  /// What is to be done.
  public enum Action: Sendable, Hashable {
    /// Nothing before `due`.
    case wait
    /// Send the peer a probe with this number, which its answer repeats.
    case probe(UInt64)
    /// The peer has vanished; it was last heard so long ago.
    case dead(silence: Duration)
  }

  private let interval: UInt64
  private let timeout: UInt64
  private var lastHeard: UInt64
  /// Since the latest probe.
  private var isHeard = false
  private var lastRoundTrip: UInt64 = 0
  /// The latest probe that was not answered, and the one before.
  private var probe: Probe?
  private var earlier: Probe?
  private var misses = 0
  private var number: UInt64 = 0

  /// When `fire` is to be called; it may be called earlier.
  public private(set) var due: UInt64

  private struct Probe {
    let number: UInt64
    let sentAt: UInt64
  }

  /// - Parameters:
  ///   - settings: how often, and how long.
  ///   - now: in nanoseconds.
  public init(_ settings: HeartbeatSettings, now: UInt64) {
    interval = settings.interval.wholeNanoseconds
    timeout = settings.timeout.wholeNanoseconds
    lastHeard = now
    due = now + interval
  }

  /// How long the last answer took; nil before the first.
  public var roundTrip: Duration? {
    lastRoundTrip == 0 ? nil : .nanoseconds(Int64(clamping: lastRoundTrip))
  }

  /// How long an answer may take now, in nanoseconds.
  var patience: UInt64 { max(timeout, lastRoundTrip + lastRoundTrip / 2) }

  /// The peer has sent something, whatever it was. Costs nothing.
  @inline(__always)
  public mutating func heard(at now: UInt64) {
    lastHeard = now
    isHeard = true
  }

  /// The answer to a probe has come; one to none is not looked at.
  public mutating func answered(_ number: UInt64, at now: UInt64) {
    heard(at: now)
    guard let sent = [probe, earlier].compactMap({ $0 }).first(where: { $0.number == number })
    else { return }
    lastRoundTrip = max(1, now - min(now, sent.sentAt))
  }

  /// Says what is to be done at this time.
  public mutating func fire(at now: UInt64) -> Action {
    guard now >= due else { return .wait }
    if probe != nil && !isHeard { return miss(now) }
    misses = 0
    (probe, earlier) = (nil, probe)
    guard now - min(now, lastHeard) >= interval else {
      due = lastHeard + interval
      return .wait
    }
    return ask(now)
  }

  private mutating func miss(_ now: UInt64) -> Action {
    // Who looks so late stood still itself (a stopped process, a machine that slept), and has not
    // read yet what came meanwhile: the time is given again, and nothing is counted.
    if now - due <= timeout / 2 { misses += 1 }
    guard misses < 2 else {
      return .dead(silence: .nanoseconds(Int64(clamping: now - min(now, lastHeard))))
    }
    return ask(now)
  }

  private mutating func ask(_ now: UInt64) -> Action {
    number += 1
    earlier = probe ?? earlier
    probe = Probe(number: number, sentAt: now)
    isHeard = false
    due = now + patience
    return .probe(number)
  }
}
