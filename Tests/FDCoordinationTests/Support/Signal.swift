import TestKit

/// What tasks wait for until a test opens it; once open it stays so. A cancelled wait goes on, save
/// for one that ignores cancellation.
final class Signal: Sendable {
  private struct State {
    var isOpen = false
    var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
    var cancelled: Set<Int> = []
    var last = 0
  }

  private let state = Guarded(State())

  /// How many tasks wait.
  var waiting: Int { state.withLock { $0.waiting.count } }

  func open() {
    let waiting = state.withLock { state in
      state.isOpen = true
      defer { state.waiting = [:] }
      return state.waiting.values
    }
    for continuation in waiting { continuation.resume() }
  }

  /// - Throws: `CancellationError` if the task is cancelled meanwhile.
  func wait() async throws {
    let number = newNumber()
    await withTaskCancellationHandler {
      await wait(number)
    } onCancel: {
      let continuation = state.withLock { state in
        state.cancelled.insert(number)
        return state.waiting.removeValue(forKey: number)
      }
      continuation?.resume()
    }
    try Task.checkCancellation()
  }

  func waitIgnoringCancellation() async { await wait(newNumber()) }

  private func newNumber() -> Int {
    state.withLock { state in
      state.last += 1
      return state.last
    }
  }

  private func wait(_ number: Int) async {
    await withCheckedContinuation { continuation in
      let isOver = state.withLock { state in
        if state.isOpen || state.cancelled.contains(number) { return true }
        state.waiting[number] = continuation
        return false
      }
      if isOver { continuation.resume() }
    }
  }
}
