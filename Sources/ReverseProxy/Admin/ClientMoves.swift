import FDHTTP
import FDPoller

/// Moves of clients from loop to loop, by hand.
enum ClientMoves {
  /// Loops by their indices.
  struct Move: Sendable, Equatable {
    let from: Int
    let to: Int
    let count: Int
  }

  /// The moves after which no loop has more than one client more than another.
  ///
  /// - Parameter counts: the clients of each loop.
  static func evening(_ counts: [Int]) -> [Move] {
    let (share, extra) = counts.reduce(0, +).quotientAndRemainder(dividingBy: counts.count)
    // Those that have the most anyway have the rest.
    var wanted = [Int](repeating: share, count: counts.count)
    for index in counts.indices.sorted(by: { counts[$0] > counts[$1] }).prefix(extra) {
      wanted[index] += 1
    }
    var lack = counts.indices.compactMap { counts[$0] < wanted[$0] ? $0 : nil }[...]
    var counts = counts
    var moves: [Move] = []
    for from in counts.indices {
      while counts[from] > wanted[from], let to = lack.first {
        let count = min(counts[from] - wanted[from], wanted[to] - counts[to])
        moves.append(Move(from: from, to: to, count: count))
        counts[from] -= count
        counts[to] += count
        if counts[to] == wanted[to] { lack.removeFirst() }
      }
    }
    return moves
  }

  /// Asks the clients to move, each when it is between two requests.
  ///
  /// - Parameter completion: told what was asked, in words; on the given loop.
  static func make(
    _ moves: [Move], of service: HTTPService, on poller: Poller, answeringOn loop: EventLoop,
    _ completion: @escaping @Sendable (String) -> Void
  ) {
    let answers = Answers(moves.count) { lines, total in
      let text = (lines + ["\(total) clients asked to move"]).joined(separator: "\n") + "\n"
      loop.run { completion(text) }
    }
    for (number, move) in moves.enumerated() {
      service.move(move.count, from: poller.loops[move.from], to: poller.loops[move.to]) { asked in
        answers.note("loop \(move.from) to loop \(move.to): \(asked)", asked, at: number)
      }
    }
  }

  /// What the loops say, until all have.
  private final class Answers: Sendable {
    private struct State {
      var lines: [String]
      var total = 0
      var missing: Int
    }

    private let state: Locked<State>
    private let completion: @Sendable ([String], Int) -> Void

    init(_ count: Int, _ completion: @escaping @Sendable ([String], Int) -> Void) {
      state = Locked(State(lines: Array(repeating: "", count: count), missing: count))
      self.completion = completion
      if count == 0 { completion([], 0) }
    }

    func note(_ line: String, _ asked: Int, at index: Int) {
      let (lines, total, isLast) = state.withLock { state in
        state.lines[index] = line
        state.total += asked
        state.missing -= 1
        return (state.lines, state.total, state.missing == 0)
      }
      if isLast { completion(lines, total) }
    }
  }
}
