import Glibc

/// Holds a thread until a test lets it go: how a test makes a loop stand still at a chosen place.
///
/// It opens once and stays open. A thread never waits longer than the deadline, so that a test that
/// goes wrong ends, and says so.
public final class Gate: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var isOpenNow = false
  private var waiting = 0

  /// A closed one.
  public init() {
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
    condition = .allocate(capacity: 1)
    condition.initialize(to: pthread_cond_t())
    pthread_cond_init(condition, nil)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Lets everybody go who waits or will wait.
  public func open() {
    pthread_mutex_lock(mutex)
    isOpenNow = true
    pthread_cond_broadcast(condition)
    pthread_mutex_unlock(mutex)
  }

  /// Blocks the calling thread, which must not be one of Swift's concurrency pool, until the gate
  /// opens.
  ///
  /// - Returns: false if it has not opened within 60 seconds.
  @discardableResult
  public func wait() -> Bool {
    var deadline = timespec()
    clock_gettime(CLOCK_REALTIME, &deadline)
    deadline.tv_sec += 60
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    waiting += 1
    defer { waiting -= 1 }
    while !isOpenNow {
      if pthread_cond_timedwait(condition, mutex, &deadline) != 0 { break }
    }
    return isOpenNow
  }

  /// Whether a thread stands at the gate at this moment.
  public var holdsSomebody: Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return waiting > 0
  }
}
