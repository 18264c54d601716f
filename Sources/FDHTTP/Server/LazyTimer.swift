package import FDPoller

/// One moment at which something is due, put off at the cost of a store.
///
/// The timer in the loop's wheel is often earlier than the moment: when it fires too early it is
/// set anew, by whoever it wakes.
package struct LazyTimer {
  /// In nanoseconds; `.max` is never.
  package private(set) var due = UInt64.max
  private var timer: TimerID?
  private var timerDue = UInt64.max

  package init() {}

  /// Sets the moment.
  ///
  /// - Parameters:
  ///   - delay: from the tick's time on, in nanoseconds; nil is never.
  ///   - target: who is woken.
  @inline(__always)
  package mutating func set(after delay: UInt64?, _ target: any TimerTarget, on loop: EventLoop) {
    guard let delay else {
      due = .max
      return
    }
    due = loop.tickTime &+ delay
    if due < timerDue { arm(target, on: loop) }
  }

  /// Nothing is due any more. The timer is left to fire for nothing.
  package mutating func clear() { due = .max }

  private mutating func arm(_ target: any TimerTarget, on loop: EventLoop) {
    if let timer { loop.cancel(timer) }
    timer = loop.schedule(target, at: due)
    timerDue = due
  }

  /// Nothing is due, and nobody is woken: before the target leaves the loop or ends.
  package mutating func cancel(on loop: EventLoop) {
    if let timer { loop.cancel(timer) }
    (timer, timerDue, due) = (nil, .max, .max)
  }

  /// The timer has fired.
  ///
  /// - Returns: whether the moment has come; otherwise it is set anew.
  package mutating func hasFired(_ target: any TimerTarget, on loop: EventLoop) -> Bool {
    (timer, timerDue) = (nil, .max)
    guard due != .max else { return false }
    guard due <= loop.tickTime else {
      arm(target, on: loop)
      return false
    }
    due = .max
    return true
  }
}
