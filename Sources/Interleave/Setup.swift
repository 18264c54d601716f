/// What a scenario consists of, filled in by its body at the start of each execution.
public final class Setup {
  struct Thread {
    let name: String
    let symmetry: Int
    let body: () -> Void
  }

  private unowned(unsafe) let execution: Execution
  private(set) var threads: [Thread] = []
  private(set) var checks: [() -> Void] = []

  init(execution: Execution) { self.execution = execution }

  func reset() {
    threads.removeAll(keepingCapacity: true)
    checks.removeAll(keepingCapacity: true)
  }

  /// Adds a thread; at most seven.
  ///
  /// - Parameters:
  ///   - name: how traces call it.
  ///   - symmetry: threads with the same number, other than 0, have the same body and touch nothing
  ///     by which they differ; only one of their orders is explored.
  ///   - body: synchronous; what it does is determined by what it reads from model types.
  public func thread(_ name: String, symmetry: Int = 0, _ body: @escaping () -> Void) {
    precondition(
      threads.count < Execution.maximumThreads,
      "a scenario has at most \(Execution.maximumThreads) threads")
    threads.append(Thread(name: name, symmetry: symmetry, body: body))
  }

  /// Adds a check of what all threads have left behind when they are done. What it reads is the
  /// newest, and ordered after all that they did.
  public func finally(_ check: @escaping () -> Void) { checks.append(check) }

  /// A violation unless the condition holds. From a thread or a check.
  public func require(_ condition: Bool, _ message: @autoclosure () -> String) {
    if !condition { execution.fail(message()) }
  }

  /// Adds a line to the story of a violation. From a thread or a check.
  public func note(_ text: @autoclosure () -> String) {
    execution.note(text())
  }

  /// Waits until another look may find something else than this thread has read since it last spun:
  /// in a word, a lock, a monitor. Belongs into every loop that waits for a change, so that the loop
  /// ends. A thread that nobody wakes any more is part of a deadlock.
  public func spin() { execution.spin() }

  /// Declares that of all that the calling thread has observed so far only this matters from here
  /// on: states that differ in the rest are explored once. A lie here makes the result worthless.
  ///
  /// - Parameters:
  ///   - rest: what the thread still knows.
  ///   - line: tells places apart; a thread that comes to the same one again has to make the
  ///     difference part of `rest`.
  public func forget(allBut rest: UInt64 = 0, line: UInt = #line) {
    execution.forget(allBut: rest, at: UInt64(line))
  }

  /// Names a word that production code has made, by the order of making, counted from 0.
  ///
  /// - Parameters:
  ///   - word: the number among all words, locks, parkers and monitors of the execution.
  ///   - name: how traces call it.
  ///   - describe: how traces write its values.
  public func name(_ word: Int, _ name: String, describe: ((UInt64) -> String)? = nil) {
    precondition(word < execution.memory.count, "no word with the number \(word) has been made")
    execution.memory.setName(UInt8(word), name, describe)
  }
}
