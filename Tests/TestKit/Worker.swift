import Glibc

/// Both ends of a pipe, which programs that are started do not inherit.
public func makePipe() -> (read: Int32, write: Int32) {
  var ends: [Int32] = [-1, -1]
  let result = pipe(&ends)
  precondition(result == 0, "a test cannot have a pipe")
  for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
  return (ends[0], ends[1])
}

/// A thread for a test's blocking calls.
public final class Worker: @unchecked Sendable {
  private var thread = pthread_t()
  private var isJoined = false

  private final class Body {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }

  /// Starts it.
  public init(_ body: @escaping @Sendable () -> Void) {
    let context = Unmanaged.passRetained(Body(body)).toOpaque()
    let result = pthread_create(
      &thread, nil,
      { context in
        Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, context)
    precondition(result == 0, "a test cannot have the threads that it needs")
  }

  /// Waits until it is done. Called by one thread; again does no harm.
  public func join() {
    guard !isJoined else { return }
    isJoined = true
    pthread_join(thread, nil)
  }
}
