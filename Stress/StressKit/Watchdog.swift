import CShims
import Glibc
import Synchronization

/// How often somebody has done something. One writer, any reader.
final class Heartbeat: Sendable {
  let name: String
  private let beats = Atomic<UInt64>(0)

  init(_ name: String) { self.name = name }

  func beat() { beats.wrappingAdd(1, ordering: .relaxed) }

  var count: UInt64 { beats.load(ordering: .relaxed) }
}

/// Tells who has done nothing for so long that it hangs. One thread's.
struct Watchdog {
  /// How long a live thread may be kept from its work by a machine that is busy.
  static let patience = Duration.seconds(20)

  private let heartbeats: [Heartbeat]
  private var last: [(count: UInt64, since: ContinuousClock.Instant)]

  init(_ heartbeats: [Heartbeat]) {
    self.heartbeats = heartbeats
    last = heartbeats.map { ($0.count, .now) }
  }

  /// To be called every now and then.
  ///
  /// - Returns: the names of those that hang.
  mutating func look() -> [String] {
    var hanging: [String] = []
    for (index, heartbeat) in heartbeats.enumerated() {
      let count = heartbeat.count
      if count != last[index].count {
        last[index] = (count, .now)
      } else if ContinuousClock.now - last[index].since > Self.patience {
        hanging.append(heartbeat.name)
      }
    }
    return hanging
  }

  /// Waits for something that must come.
  ///
  /// - Returns: whether it has come in time.
  static func wait(until condition: () -> Bool) -> Bool {
    let end = ContinuousClock.now + patience
    while !condition() {
      guard ContinuousClock.now < end else { return condition() }
      usleep(1000)
    }
    return true
  }
}
