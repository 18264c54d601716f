public import FDAtomics
import Synchronization

/// Where threads lose time, how much, and how often.
public struct DelayPlan: Sendable, Equatable {
  /// How a thread loses time.
  public enum Kind: String, CaseIterable, Sendable {
    /// Keeps its processor busy: whoever runs on another one gets ahead.
    case spin
    /// Offers its processor to whoever waits for one (sched_yield(2)).
    case yield
    /// Gives its processor away for a while (nanosleep(2)).
    case sleep
  }

  /// The places where it happens.
  public var points: Set<DelayPoint>
  /// How often a thread that comes by loses time: 0, never, to 1, always.
  public var chance: Double
  /// The length of a spin, in empty iterations.
  public var iterations: Int
  /// The length of a sleep, in microseconds.
  public var sleepMicroseconds: Int
  /// Of these one is drawn each time.
  public var kinds: Set<Kind>
  /// Every thread draws from a sequence of its own, which this and its name decide.
  public var seed: UInt64

  /// - Parameters:
  ///   - points: where it happens.
  ///   - chance: 0 to 1.
  ///   - iterations: of a spin, at least 0.
  ///   - sleepMicroseconds: at least 0.
  ///   - kinds: at least one.
  ///   - seed: any.
  public init(
    at points: Set<DelayPoint> = Set(DelayPoint.allCases), chance: Double = 0.05,
    iterations: Int = 10_000, sleepMicroseconds: Int = 100,
    kinds: Set<Kind> = Set(Kind.allCases), seed: UInt64 = 0
  ) {
    self.points = points
    self.chance = chance
    self.iterations = iterations
    self.sleepMicroseconds = sleepMicroseconds
    self.kinds = kinds
    self.seed = seed
  }

  /// Makes this the plan of the whole process. Call it while no thread is under way: what passes a
  /// point meanwhile may follow the old plan or the new one in part.
  public func begin() {
    precondition(0...1 ~= chance && iterations >= 0 && sleepMicroseconds >= 0 && !kinds.isEmpty)
    Present.points.store(0, ordering: .releasing)
    // 2^64 is one too many.
    let threshold = chance == 1 ? .max : UInt64(chance * 0x1p64)
    Present.threshold.store(threshold, ordering: .relaxed)
    Present.iterations.store(UInt64(iterations), ordering: .relaxed)
    Present.sleepMicroseconds.store(UInt64(sleepMicroseconds), ordering: .relaxed)
    let listed = Kind.allCases.enumerated().filter { kinds.contains($1) }
    Present.kinds.store(listed.reduce(0) { $0 | 1 << UInt64($1.offset) }, ordering: .relaxed)
    Present.seed.store(seed, ordering: .relaxed)
    Present.number.add(1, ordering: .relaxed)
    Present.points.store(points.reduce(0) { $0 | 1 << UInt64($1.rawValue) }, ordering: .releasing)
  }

  /// From here on nobody loses time.
  public static func end() { Present.points.store(0, ordering: .releasing) }

  /// The plan of the process, as those who pass a point read it.
  enum Present {
    /// One bit for each point. None: there is no plan.
    static let points = Atomic<UInt64>(0)
    static let threshold = Atomic<UInt64>(0)
    static let iterations = Atomic<UInt64>(0)
    static let sleepMicroseconds = Atomic<UInt64>(0)
    static let kinds = Atomic<UInt64>(0)
    static let seed = Atomic<UInt64>(0)
    /// Rises with every plan, so that each thread begins its sequence anew.
    static let number = Atomic<UInt64>(0)
  }
}

extension DelayPoint {
  /// As on a command line: `afterLeave` is `after-leave`.
  public var name: String {
    "\(self)".reduce(into: "") { text, letter in
      text += letter.isUppercase ? "-" + letter.lowercased() : String(letter)
    }
  }

  /// The point of that name.
  public init?(name: String) {
    guard let point = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = point
  }
}
