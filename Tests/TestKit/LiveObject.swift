import Synchronization

/// A member of an object that a test wants to be gone at its end: there is one as long as the
/// object lives.
public final class LiveObject: Sendable {
  private static let live = Atomic(0)

  /// Counts one more.
  public init() { Self.live.add(1, ordering: .relaxed) }

  deinit { Self.live.subtract(1, ordering: .relaxed) }

  /// How many there are in this process.
  public static var count: Int { live.load(ordering: .relaxed) }
}
