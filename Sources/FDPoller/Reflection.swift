// Reflection copies what it shows, which traps for a field that cannot be copied, and the classes
// here have such fields: atomics, locks, mailboxes. A test that fails dumps the values that it
// compared, and should not crash over it.

extension Poller: CustomReflectable {
  /// Shows nothing; see `snapshot()` and `describe(_:)`.
  public var customMirror: Mirror { Mirror(self, children: []) }
}

extension EventLoop: CustomReflectable {
  /// Shows nothing but the class; see `description`.
  public var customMirror: Mirror { Mirror(self, children: []) }
}
