import Synchronization

/// How often somebody has done something. Callable from any thread.
public final class Heartbeat: Sendable {
  /// Whose it is.
  public let name: String
  private let beats = Atomic<UInt64>(0)

  init(_ name: String) { self.name = name }

  /// Something was done.
  public func beat() { beats.wrappingAdd(1, ordering: .relaxed) }

  /// How often something was done.
  public var count: UInt64 { beats.load(ordering: .relaxed) }
}

/// Tells who has done nothing for so long that it hangs. One thread's.
struct Watchdog {
  private let patience: Duration
  private var clock = Patience()
  private var watched: [Watched] = []

  private struct Watched {
    let heartbeat: Heartbeat
    var count: UInt64
    var since: Duration
  }

  init(patience: Duration) { self.patience = patience }

  /// To be called every few milliseconds.
  ///
  /// - Parameter heartbeats: of those that have to go on; the ones of the last call, and perhaps
  ///   more behind them.
  /// - Returns: the names of those that hang.
  mutating func look(at heartbeats: [Heartbeat]) -> [String] {
    clock.look()
    let now = clock.elapsed
    for heartbeat in heartbeats[watched.count...] {
      watched.append(Watched(heartbeat: heartbeat, count: heartbeat.count, since: now))
    }
    var hanging: [String] = []
    for index in watched.indices {
      let count = watched[index].heartbeat.count
      if count != watched[index].count {
        (watched[index].count, watched[index].since) = (count, now)
      } else if now - watched[index].since > patience {
        hanging.append(watched[index].heartbeat.name)
      }
    }
    return hanging
  }
}
