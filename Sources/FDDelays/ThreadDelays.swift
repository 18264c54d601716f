public import FDAtomics
import Glibc
import Synchronization

/// What one thread has to draw from.
public final class ThreadDelays {
  private var random = SplitMix(seed: 0)
  private var plan: UInt64 = 0

  /// The calling thread passes a point: it takes note, and now and then loses some time.
  ///
  /// - Parameters:
  ///   - point: the place.
  ///   - value: what is known there.
  @inline(never)
  public static func pass(_ point: DelayPoint, _ value: UInt64) {
    Chronicle.note(point, value)
    loseTime(at: point)
  }

  /// The calling thread passes a place of your own, between two steps that ought to be one: it takes
  /// note, and loses time as it does at `DelayPoint.own`.
  ///
  /// - Parameter place: in a few words, for the report.
  @inline(never)
  public static func pass(_ place: StaticString) {
    Chronicle.note(place, .max)
    loseTime(at: .own)
  }

  private static func loseTime(at point: DelayPoint) {
    // Acquire: the rest of the plan.
    let points = DelayPlan.Present.points.load(ordering: .acquiring)
    if points & 1 << UInt64(point.rawValue) != 0 { mine?.maybeLoseTime() }
  }

  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    let result = pthread_key_create(&key) { state in
      if let state { Unmanaged<ThreadDelays>.fromOpaque(state).release() }
    }
    precondition(result == 0, "a process has room for one more key of thread data")
    return key
  }()

  private static var mine: ThreadDelays? {
    if let known = pthread_getspecific(key) {
      return Unmanaged<ThreadDelays>.fromOpaque(known).takeUnretainedValue()
    }
    let fresh = Unmanaged.passRetained(ThreadDelays())
    pthread_setspecific(key, fresh.toOpaque())
    return fresh.takeUnretainedValue()
  }

  private func maybeLoseTime() {
    typealias Present = DelayPlan.Present
    let number = Present.number.load(ordering: .relaxed)
    if number != plan {
      plan = number
      random = SplitMix(
        seed: Present.seed.load(ordering: .relaxed), name: NoteRing.mine.threadName)
    }
    guard random.next() < Present.threshold.load(ordering: .relaxed) else { return }
    let kinds = Present.kinds.load(ordering: .relaxed)
    var turn = Int(random.next() % UInt64(kinds.nonzeroBitCount))
    for (index, kind) in DelayPlan.Kind.allCases.enumerated()
    where kinds & 1 << UInt64(index) != 0 {
      if turn == 0 { return loseTime(kind) }
      turn -= 1
    }
  }

  private func loseTime(_ kind: DelayPlan.Kind) {
    switch kind {
    case .spin: Self.spin(DelayPlan.Present.iterations.load(ordering: .relaxed))
    case .yield: sched_yield()
    case .sleep:
      usleep(UInt32(clamping: DelayPlan.Present.sleepMicroseconds.load(ordering: .relaxed)))
    }
  }

  /// An acquiring load for each iteration is more than the compiler may leave out.
  private static func spin(_ iterations: UInt64) {
    for _ in 0..<iterations { _ = DelayPlan.Present.number.load(ordering: .acquiring) }
  }
}
