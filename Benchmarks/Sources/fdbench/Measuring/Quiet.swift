/// Whether anybody else used the machine during a measurement.
struct Quiet {
  private let clock: ContinuousClock.Instant
  /// Of all processors, from /proc/stat (proc(5)).
  private let idleSeconds: Double
  /// What our own processes have used.
  private let ownSeconds: Double

  init(ownNanoseconds: UInt64) {
    clock = .now
    ownSeconds = Double(ownNanoseconds) / 1e9
    let fields = Files.read("/proc/stat")?.split(separator: "\n").first?.split(separator: " ") ?? []
    let ticks = fields.dropFirst().compactMap { Double($0) }
    // Idle and waiting for a disk, in hundredths of a second.
    idleSeconds = ticks.count > 4 ? (ticks[3] + ticks[4]) / 100 : 0
  }

  /// How much processor time others have used since then, in seconds. The clock ticks every 10 ms,
  /// so short measurements are only roughly right.
  func othersSeconds(until later: Quiet, processors: Int) -> Double {
    let passed = (later.clock - clock) / .seconds(1)
    let idle = later.idleSeconds - idleSeconds
    return max(0, passed * Double(processors) - idle - (later.ownSeconds - ownSeconds))
  }

  /// Whether that is too much: above a tenth of one processor, and what the ticks leave unclear.
  func isDisturbed(until later: Quiet, processors: Int) -> Bool {
    let passed = (later.clock - clock) / .seconds(1)
    return othersSeconds(until: later, processors: processors) > 0.1 * passed + 0.03
  }
}
