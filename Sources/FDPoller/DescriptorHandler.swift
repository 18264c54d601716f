public import SystemPackage

/// How a descriptor left the poller.
public enum Departure: Sendable, Equatable {
  /// The poller has closed it.
  case closed
  /// The poller has let go of it after `disown`; it is open and the receiver's to close.
  case disowned(FileDescriptor)
  /// Somebody closed it behind the poller's back and the kernel gave its number to another
  /// descriptor.
  case closedElsewhere
}

/// What the poller calls about one descriptor. Subclass it; the poller holds the only reference it
/// needs from `insert` until `departed` has returned.
///
/// It is a class and not a protocol because its call is the hot path: one load and one indirect
/// call.
///
/// Descriptors change threads, and so do their handlers: a subclass restates `@unchecked Sendable`,
/// which it is if it touches its state only in these calls.
open class DescriptorHandler: @unchecked Sendable {
  /// A handler of nothing yet.
  public init() {}

  /// The descriptor is ready, perhaps.
  ///
  /// Called on a thread that owns the descriptor, between its enter and leave: for a descriptor
  /// with one owner never twice at once, and never again after a delete from inside has returned
  /// from here. A descriptor shared by several loops may be called by several at once.
  ///
  /// - Parameters:
  ///   - readiness: what the kernel says; it may be out of date.
  ///   - handle: the descriptor.
  ///   - loop: the calling loop.
  open func ready(_ readiness: Readiness, of handle: FDHandle, on loop: EventLoop) {}

  /// The descriptor is about to be closed or let go: its number must not be used from here on.
  /// Called on the home loop, before the number can be handed out again, at any moment at which
  /// that loop is outside the handler; so it only takes a note, and calls nobody.
  open func retire() {}

  /// The descriptor has left the poller: the last call, exactly once for every successful `insert`.
  ///
  /// Called on the home loop, never inside the call that caused it.
  ///
  /// - Parameters:
  ///   - handle: the descriptor; stale from here on.
  ///   - departure: how it went.
  open func departed(_ handle: FDHandle, _ departure: Departure) {}
}
