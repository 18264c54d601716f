/// A lock whose waiting is understood: a thread that cannot have it does not run, and if nobody can
/// go on that is a deadlock.
///
/// What it guards may be data of any kind: states that differ in it are kept apart. Only accesses
/// of a `Cell` are checked for races, though.
public struct ModelMutex: ~Copyable, @unchecked Sendable {
  private unowned(unsafe) let execution: Execution
  private let location: UInt8

  /// An unlocked one.
  public init() { self.init(named: "mutex") }

  /// - Parameter name: how traces call it.
  public init(named name: String) {
    execution = Execution.ofThisThread
    location = execution.makeLocation(0, name)
  }

  /// Calls the body with the lock held.
  public borrowing func withLock<Result>(_ body: () -> Result) -> Result {
    execution.lock(location)
    defer { execution.unlock(location) }
    return body()
  }

  /// - Returns: nil, without calling the body, if somebody holds the lock.
  public borrowing func withLockIfAvailable<Result>(_ body: () -> Result) -> Result? {
    guard execution.tryLock(location) else { return nil }
    defer { execution.unlock(location) }
    return body()
  }
}

/// What one thread sleeps on and others wake: an eventfd, a semaphore that counts to one.
public struct ModelParker: ~Copyable, @unchecked Sendable {
  private unowned(unsafe) let execution: Execution
  private let location: UInt8

  /// One that has not been woken.
  public init() { self.init(named: "parker") }

  /// - Parameter name: how traces call it.
  public init(named name: String) {
    execution = Execution.ofThisThread
    location = execution.makeLocation(0, name)
  }

  /// Waits for an `unpark`, or goes on at once if one has come since the last `park`.
  public borrowing func park() { execution.park(location) }

  /// Ends the present or the next `park`.
  public borrowing func unpark() { execution.unpark(location) }
}
