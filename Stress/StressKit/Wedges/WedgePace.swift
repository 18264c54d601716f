import CShims
import FDPoller

/// When sessions exchange something, and how long that took. Callable from any thread.
///
/// Each session has a time-table, and one exchange at a time. An exchange that takes so long that
/// the times of others pass counts for them too, as if they had begun in time: a session that stands
/// still for a second is not one slow exchange, but all that it could not begin.
public final class WedgePace: Sendable {
  private struct Phase {
    let beginning: UInt64
    var end: UInt64?
    var roundTrips: [UInt64] = []
    /// Whether a session has had an answer while the phase lasted.
    var isAnswered: [Bool]

    func contains(_ time: UInt64) -> Bool { beginning <= time && end.map { time < $0 } ?? true }
  }

  private struct State {
    var phases: [Phase] = []
    var complaints: [String] = []
    var answers = 0
    var isOver = false
    /// Sessions that have ended too early.
    var gone: Set<Int> = []
  }

  private let sessions: Int
  /// In nanoseconds.
  private let interval: UInt64
  private let state = Kept(State())

  init(sessions: Int, rate: Double) {
    self.sessions = sessions
    interval = UInt64(1e9 / rate)
  }

  // MARK: The sessions

  /// Has exchanges made until the run is over, on the calling task's loop.
  ///
  /// - Parameters:
  ///   - number: of the session.
  ///   - exchange: sends something and waits for the answer; gets how many there were before.
  /// - Throws: what an exchange throws.
  nonisolated(nonsending) func keep(
    _ number: Int, _ exchange: nonisolated(nonsending) (Int) async throws -> Void
  ) async throws {
    // The sessions take their turns, not all at once.
    var due = EventLoop.clock() + interval * UInt64(number) / UInt64(sessions)
    var count = 0
    while !isOver {
      let now = EventLoop.clock()
      if now < due {
        let pause = Duration.nanoseconds(Int64(due - now))
        if let loop = EventLoop.current {
          try await loop.sleep(for: pause)
        } else {
          try await Task.sleep(for: pause)
        }
      }
      guard !isOver else { return }
      let beginning = EventLoop.clock()
      try await exchange(count)
      note(number, from: beginning, scheduled: due)
      count += 1
      let end = EventLoop.clock()
      due = max(due + interval, due + (end - min(due, end)) / interval * interval)
    }
  }

  private func note(_ number: Int, from beginning: UInt64, scheduled due: UInt64) {
    let end = EventLoop.clock()
    state.withLock { state in
      state.answers += 1
      if let last = state.phases.indices.last, state.phases[last].end == nil {
        state.phases[last].isAnswered[number] = true
      }
      var time = beginning
      var next = due
      while time < end {
        if let index = state.phases.lastIndex(where: { $0.contains(time) }) {
          state.phases[index].roundTrips.append(end - time)
        }
        next += interval
        time = next
      }
    }
  }

  /// Something is wrong with a session.
  ///
  /// - Parameter number: of one that has ended; nil if it is about several.
  func fail(_ number: Int?, _ complaint: String) {
    state.withLock { state in
      if let number { state.gone.insert(number) }
      // What a few say is enough to know.
      if state.complaints.count < 5 { state.complaints.append(complaint) }
    }
  }

  private var isOver: Bool { state.withLock { $0.isOver } }

  // MARK: The run

  /// How many exchanges there were.
  var answers: Int { state.withLock { $0.answers } }

  func begin() {
    let phase = Phase(
      beginning: EventLoop.clock(), isAnswered: [Bool](repeating: false, count: sessions))
    state.withLock { $0.phases.append(phase) }
  }

  /// How many sessions that are there have had no answer in the phase that lasts.
  var silentSessions: Int {
    state.withLock { state in
      guard let phase = state.phases.last else { return 0 }
      return phase.isAnswered.indices.count { !phase.isAnswered[$0] && !state.gone.contains($0) }
    }
  }

  func endPhase() {
    let now = EventLoop.clock()
    state.withLock { $0.phases[$0.phases.count - 1].end = now }
  }

  func endRun() { state.withLock { $0.isOver = true } }

  /// The nanoseconds of every round trip, by phase, and what went wrong.
  var results: (roundTrips: [[UInt64]], complaints: [String]) {
    state.withLock { ($0.phases.map(\.roundTrips), $0.complaints) }
  }
}
