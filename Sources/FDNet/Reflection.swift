// Reflection copies what it shows, which traps for a field that cannot be copied, and the classes
// here have such fields: atomics, locks, buffers. A test that fails dumps the values that it
// compared, and should not crash over it.

extension Connection: CustomReflectable {
  /// Shows the handle only.
  public var customMirror: Mirror { Mirror(self, children: ["handle": handle]) }
}

extension Listener: CustomReflectable {
  /// Shows the address only.
  public var customMirror: Mirror { Mirror(self, children: ["address": address]) }
}

extension ConnectionPool: CustomReflectable {
  /// Shows the limits and what was counted.
  public var customMirror: Mirror {
    Mirror(self, children: ["limits": limits, "statistics": statistics])
  }
}
