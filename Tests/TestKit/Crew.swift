import Glibc

/// Threads of a test: they start together, and are all gone when the call that started them returns.
public enum Crew {
  private final class Member {
    let start: Barrier
    let body: () -> Void

    init(_ start: Barrier, _ body: @escaping () -> Void) {
      self.start = start
      self.body = body
    }
  }

  /// Calls `body` once on each of `count` threads at the same time, with its number from 0, and waits for all
  /// of them.
  public static func run(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let start = Barrier(count)
    var threads: [pthread_t] = []
    for number in 0..<count {
      var thread = pthread_t()
      let member = Unmanaged.passRetained(Member(start) { body(number) })
      let result = pthread_create(
        &thread, nil,
        { context in
          let member = Unmanaged<Member>.fromOpaque(context!).takeRetainedValue()
          member.start.wait()
          member.body()
          return nil
        }, member.toOpaque())
      precondition(result == 0, "a test cannot have the threads that it needs")
      threads.append(thread)
    }
    for thread in threads { pthread_join(thread, nil) }
  }
}

/// Where a known number of threads wait for each other, again and again.
public final class Barrier: @unchecked Sendable {
  private let barrier = UnsafeMutablePointer<pthread_barrier_t>.allocate(capacity: 1)

  /// - Parameter count: how many threads have to wait for all of them to go on.
  public init(_ count: Int) {
    pthread_barrier_init(barrier, nil, UInt32(count))
  }

  deinit {
    pthread_barrier_destroy(barrier)
    barrier.deallocate()
  }

  /// Waits for the others.
  ///
  /// - Returns: true for one of the threads.
  @discardableResult
  public func wait() -> Bool {
    pthread_barrier_wait(barrier) == PTHREAD_BARRIER_SERIAL_THREAD
  }
}

/// Random numbers that a seed repeats.
public struct SeededRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// - Parameter seed: the same one gives the same numbers.
  public init(seed: UInt64) { state = seed }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}
