import Glibc

/// Threads of a test: they start together, and are all gone when the call that started them returns.
public enum Crew {
  private final class Member {
    let body: () -> Void

    init(_ body: @escaping () -> Void) { self.body = body }
  }

  /// Calls `body` once on each of `count` threads at the same time, with its number from 0, and waits
  /// for all of them without blocking a thread of the concurrency runtime.
  public static func run(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) async {
    let start = Barrier(count)
    let running = Tally(count)
    let threads = (0..<count).map { number in
      startThread {
        start.wait()
        body(number)
        running.add(-1)
      }
    }
    var pause = Duration.microseconds(50)
    while running.value > 0 {
      try? await Task.sleep(for: pause)
      pause = min(pause * 2, .milliseconds(10))
    }
    for thread in threads { pthread_join(thread, nil) }
  }

  private static func startThread(_ body: @escaping () -> Void) -> pthread_t {
    var thread = pthread_t()
    let result = pthread_create(
      &thread, nil,
      { context in
        Unmanaged<Member>.fromOpaque(context!).takeRetainedValue().body()
        return nil
      }, Unmanaged.passRetained(Member(body)).toOpaque())
    precondition(result == 0, "a test cannot have the threads that it needs")
    return thread
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
