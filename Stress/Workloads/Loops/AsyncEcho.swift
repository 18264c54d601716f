import Dispatch
import FDAsync
import FDNet
import FDPoller

/// As `Echo`, with a task at either end.
final class AsyncEcho: Repetitions {
  private let loops: Loops
  private let game = Game()
  private let tasks: [Task<Void, any Error>]

  init() throws {
    let loops = try Loops()
    self.loops = loops
    let loop = loops.first
    let game = game
    let listener = try AsyncListener(.loopback(port: 0), on: loops.poller)
    tasks = [
      Task.detached { await listener.serve { try await game.play($0) } },
      Task.detached {
        try await Connector.connect(to: listener.address, on: loop, deadline: nil).run {
          game.first = $0.connection
          try await game.play($0)
        }
      },
    ]
    loops.wait(on: loop) { game.first != nil }
    // Once to and fro: the other end is there, and reads.
    loops.on(loop) { game.run(on: loop, 2) }
  }

  func run(_ count: Int) -> Duration {
    let (loop, game) = (loops.first, game)
    return loops.on(loop) { timed { echoByTasks(game, loop, count) } }
  }

  func end() {
    let tasks = tasks
    let isOver = DispatchSemaphore(value: 0)
    Task.detached {
      for task in tasks {
        task.cancel()
        _ = await task.result
      }
      isOver.signal()
    }
    isOver.wait()
    loops.end()
  }
}

@_silgen_name("workload_echo_async")
@inline(never)
func echoByTasks(_ game: Game, _ loop: EventLoop, _ count: Int) { game.run(on: loop, count) }

/// The state of both tasks, which run on one loop.
final class Game: @unchecked Sendable {
  /// The end that begins.
  fileprivate var first: Connection?
  private var left = 0
  private let message = [UInt8](repeating: 0x21, count: 64)

  /// Returns the message until it has been received often enough.
  nonisolated(nonsending) func play(_ connection: AsyncConnection) async throws {
    while true {
      let isThere: Void? = try await connection.read {
        left -= 1
        if left > 0 { connection.write($0) }
      }
      if isThere == nil { return }
      try await connection.drained()
    }
  }

  fileprivate func run(on loop: EventLoop, _ count: Int) {
    left = count
    _ = message.withUnsafeBytes { first?.write($0) }
    while left > 0 { loop.tick() }
  }
}
