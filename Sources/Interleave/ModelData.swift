/// Plain data. Accesses that nothing orders are reported as a race, whatever they read; they are no
/// points where another thread may run, since without a race it makes no difference.
public final class Cell<Value> {
  private unowned(unsafe) let execution: Execution
  private let index: Int
  private let name: String
  private var stored: Value

  /// - Parameter name: how reports call it.
  public init(_ value: Value, named name: String = "data") {
    execution = Execution.ofThisThread
    index = execution.memory.makeCell()
    self.name = name
    stored = value
  }

  /// The value; each access is checked.
  public var value: Value {
    get {
      let (thread, me) = (execution.thread, execution.current)
      if let racer = execution.memory.read(index, by: &thread.pointee, me) { race("read", racer) }
      return stored
    }
    set {
      let (thread, me) = (execution.thread, execution.current)
      if let racer = execution.memory.write(index, by: &thread.pointee, me) { race("write", racer) }
      stored = newValue
    }
  }

  private func race(_ access: String, _ racer: Int) {
    execution.fail(
      "data race: the \(access) of \(name) by \(execution.name(of: execution.current)) is not ordered "
        + "with an access by \(execution.name(of: racer))")
  }
}

/// What a scenario keeps count of, outside the memory model: who is inside, what has been closed.
/// Every update is a point where another thread may run, takes effect at once for all, and orders nothing.
public final class Monitor<State: Hashable> {
  private unowned(unsafe) let execution: Execution
  private let location: UInt8
  private var state: State

  /// - Parameter name: how traces call it.
  public init(_ state: State, named name: String = "monitor") {
    execution = Execution.ofThisThread
    location = execution.memory.makeLocation(UInt64(truncatingIfNeeded: state.hashValue), name)
    self.state = state
  }

  /// What the state is, for the checks at the end.
  public var current: State { state }

  /// Changes the state and returns what the change returns; by that alone the thread may decide.
  @discardableResult
  public func update<Result: Hashable>(_ change: (inout State) -> Result) -> Result {
    execution.watchPoint(location)
    let result = change(&state)
    execution.watched(
      location, UInt64(truncatingIfNeeded: state.hashValue),
      observed: UInt64(truncatingIfNeeded: result.hashValue))
    return result
  }

  /// Changes the state.
  public func update(_ change: (inout State) -> Void) {
    execution.watchPoint(location)
    change(&state)
    execution.watched(location, UInt64(truncatingIfNeeded: state.hashValue), observed: 0)
  }
}

/// Memory that a scenario allocates and frees by hand. Freed blocks are reused at once, lowest first.
public final class Heap {
  private unowned(unsafe) let execution: Execution

  /// An empty one.
  public init() { execution = Execution.ofThisThread }

  /// - Returns: the number of the block. A block that is live at the end is a leak.
  public func allocate() -> Int {
    let (thread, me) = (execution.thread, execution.current)
    return execution.memory.allocate(by: &thread.pointee, me)
  }

  /// Reports a use after free, or one that the allocation is not ordered before.
  public func use(_ block: Int) {
    let (thread, me) = (execution.thread, execution.current)
    if let error = execution.memory.use(block, by: &thread.pointee, me) { execution.fail(error) }
  }

  /// Reports a double free, or one that a use is not ordered before.
  public func free(_ block: Int) {
    let (thread, me) = (execution.thread, execution.current)
    if let error = execution.memory.free(block, by: &thread.pointee, me) { execution.fail(error) }
  }
}
