// Deferred calls and timers: what a loop runs between its mail and its wait.

/// A call that waits until what runs now has returned.
enum Deferred {
  case departed(DescriptorHandler, FDHandle, Departure)
  case call(() -> Void)
}

/// What a timer calls.
enum TimerCall {
  case closure(() -> Void)
  case target(any TimerTarget)
}

/// An object with one timer, which saves the closure.
package protocol TimerTarget: AnyObject {
  func timerFired(on loop: EventLoop)

  /// The loop has stopped, and the timer will not fire.
  func timerDropped()
}

extension TimerTarget {
  /// Nothing: what has ended with the loop was told by other means.
  package func timerDropped() {}
}

extension EventLoop {
  static var nanosecondsPerTick: UInt64 { 1_000_000 }

  /// Runs what was deferred before this call; what it defers in turn waits for the next tick.
  func runDeferred() {
    guard !deferred.isEmpty else { return }
    swap(&deferred, &deferredSpare)
    for call in deferredSpare {
      switch call {
      case .departed(let handler, let handle, let departure): handler.departed(handle, departure)
      case .call(let body): body()
      }
    }
    deferredSpare.removeAll(keepingCapacity: true)
  }

  func runTimers(at now: UInt64) {
    while let call = timers.popExpired(at: now / Self.nanosecondsPerTick) {
      counters.add(.timersFired)
      switch call {
      case .closure(let body): body()
      case .target(let target): target.timerFired(on: self)
      }
    }
  }

  /// Calls the closure in the loop's next round, after whatever runs now has returned. On the loop.
  package func `defer`(_ body: @escaping () -> Void) {
    assert(isCurrent)
    deferred.append(.call(body))
  }

  package func schedule(_ target: any TimerTarget, at nanoseconds: UInt64) -> TimerID {
    assert(isCurrent)
    return timers.add(.target(target), at: Self.tick(notBefore: nanoseconds))
  }

  /// Calls the closure once, on the loop, not before the given time has passed and usually within a
  /// millisecond of it. On the loop.
  ///
  /// - Parameters:
  ///   - delay: from now on.
  ///   - body: what to call; it is dropped uncalled if the poller stops first.
  /// - Returns: what `cancel` takes.
  @discardableResult
  public func schedule(after delay: Duration, _ body: @escaping () -> Void) -> TimerID {
    precondition(isCurrent, "timers belong to their loop's thread")
    return timers.add(
      .closure(body), at: Self.tick(notBefore: Self.clock() + delay.wholeNanoseconds))
  }

  /// Cancels a timer. On the loop.
  ///
  /// - Returns: false if it has been called or cancelled before.
  @discardableResult
  public func cancel(_ timer: TimerID) -> Bool {
    precondition(isCurrent, "timers belong to their loop's thread")
    return timers.cancel(timer) != nil
  }

  private static func tick(notBefore nanoseconds: UInt64) -> UInt64 {
    (nanoseconds + nanosecondsPerTick - 1) / nanosecondsPerTick
  }

  /// Calls the closure on the loop, after everything that the same thread has posted before.
  /// Callable from any thread, from the loop's own too; it never runs inside this call.
  ///
  /// - Returns: false if the loop has stopped; the closure is then not called.
  @discardableResult
  public func run(_ body: @escaping @Sendable () -> Void) -> Bool {
    post(.call(body))
  }
}

extension Duration {
  /// In nanoseconds; nothing negative, and no overflow before the year 2500.
  package var wholeNanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    guard seconds < 9_000_000_000 else { return 9_000_000_000_000_000_000 }
    return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
  }
}
