import FDPoller

/// A retained reference to a loop that can be used without retaining it once more: for the hot path
/// of an object that lives on the loop. Saves two retain-release pairs per echo, a tenth of its
/// instructions.
struct LoopReference: ~Copyable {
  private let reference: Unmanaged<EventLoop>

  init(_ loop: EventLoop) { reference = .passRetained(loop) }

  deinit { reference.release() }

  var loop: EventLoop { reference.takeUnretainedValue() }

  /// The body must not replace the reference.
  @inline(__always)
  func with<Result>(_ body: (EventLoop) -> Result) -> Result {
    reference._withUnsafeGuaranteedRef(body)
  }
}
