/// Plain data. Accesses that nothing orders are reported as a race, whatever they read; they are no
/// points where another thread may run, since without a race it makes no difference.
public final class Cell<Value> {
  private unowned(unsafe) let execution: Execution
  private let index: Int
  private let name: String
  private var stored: Value

  /// - Parameters:
  ///   - value: which nobody else knows yet: making the cell counts as a write.
  ///   - name: how reports call it.
  public init(_ value: Value, named name: String = "data") {
    execution = Execution.ofThisThread
    index = execution.makeCell()
    self.name = name
    stored = value
  }

  /// The value; each access is checked.
  public var value: Value {
    get {
      let racer = execution.memory.cells[index].read(
        by: &execution.thread.pointee, execution.current)
      execution.note("reads \(name)")
      if let racer { race("read", racer) }
      return stored
    }
    set {
      let racer = execution.memory.cells[index].write(
        by: execution.thread.pointee, execution.current)
      execution.note("writes \(name)")
      if let racer { race("write", racer) }
      stored = newValue
    }
  }

  private func race(_ access: String, _ racer: Int) {
    execution.fail(
      "data race: nothing orders the \(access) of \(name) by "
        + "\(execution.name(of: execution.current)) with an access by \(execution.name(of: racer))")
  }
}

// The second `update` is for closures that return nothing, and `Void` is not `Hashable`.
// swift-format-ignore: AmbiguousTrailingClosureOverload
/// What a scenario keeps count of, outside the memory model: who is inside, what has been closed.
/// Every update is a point where another thread may run, takes effect at once for all, and orders
/// nothing.
public final class Monitor<State: Hashable> {
  private unowned(unsafe) let execution: Execution
  private let location: UInt8
  private var state: State

  /// - Parameters:
  ///   - state: what it begins with.
  ///   - name: how traces call it.
  public init(_ state: State, named name: String = "monitor") {
    execution = Execution.ofThisThread
    location = execution.makeLocation(0, name)
    self.state = state
  }

  /// What the state is. In a thread that is an update that changes nothing.
  public var current: State {
    execution.current == Execution.outside ? state : update { $0 }
  }

  /// Changes the state and returns what the change returns; by that alone the thread may decide.
  ///
  /// The change uses nothing but the state: no word, lock or other monitor.
  @discardableResult
  public func update<Result: Hashable>(_ change: (inout State) -> Result) -> Result {
    let result = changed(change)
    publish(observed: execution.search.merges ? UInt64(bitPattern: Int64(result.hashValue)) : 0)
    return result
  }

  /// Changes the state. The change uses nothing else.
  public func update(_ change: (inout State) -> Void) {
    changed(change)
    publish(observed: 0)
  }

  private func changed<Result>(_ change: (inout State) -> Result) -> Result {
    execution.monitorStep(location)
    execution.isUpdating = true
    defer { execution.isUpdating = false }
    return change(&state)
  }

  private func publish(observed: UInt64) {
    execution.note("finds \(execution.memory.name(location)): \(state)")
    var fingerprint = Digest()
    for salt in 0..<2 {
      var hasher = Hasher()
      hasher.combine(salt)
      hasher.combine(state)
      fingerprint.mix(UInt64(bitPattern: Int64(hasher.finalize())))
    }
    execution.monitorUpdated(location, fingerprint, observed: observed)
  }
}

/// Memory that a scenario allocates and frees by hand. Freed blocks are reused at once, lowest
/// first; all heaps of an execution are one.
public final class Heap {
  private unowned(unsafe) let execution: Execution

  /// An empty one.
  public init() { execution = Execution.ofThisThread }

  /// - Returns: the number of the block. A block that is live at the end is a leak.
  public func allocate() -> Int { execution.allocate() }

  /// Reports a use after the block was freed, or one that the allocation is not ordered before.
  public func use(_ block: Int) { execution.use(block) }

  /// Reports a block that is freed twice, and one that somebody may still be using.
  public func free(_ block: Int) { execution.free(block) }
}
