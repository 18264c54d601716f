import TestKit
import Testing

@testable import FDCoordination

/// Everybody who can wait on a connection, on two streams of it.
struct Waiters {
  let tasks: [Task<MultiplexedError?, any Error>]

  init(_ connection: MultiplexedConnection, unread: MultiplexedStream) async throws {
    let quiet = try connection.open()
    func failure(
      _ body: @escaping @Sendable () async throws -> Void
    ) -> Task<MultiplexedError?, any Error> {
      Task {
        do { try await body() } catch let error as MultiplexedError { return error }
        return nil
      }
    }
    tasks = [
      failure { while true { try await unread.send(pattern(8 << 10)) } },
      failure { _ = try await quiet.receive() },
      failure { _ = try await quiet.connection.accept() },
      failure { throw try await quiet.connection.ended() },
    ]
    let core = connection.core
    try #require(await eventually { core.perform { $0.waiterCount } == 4 })
  }

  var errors: [MultiplexedError?] {
    get async throws {
      let tasks = tasks
      return try await bounded {
        var errors: [MultiplexedError?] = []
        for task in tasks { errors.append(try await task.value) }
        return errors
      }
    }
  }
}

extension MultiplexedState {
  /// How many tasks wait for something.
  var waiterCount: Int {
    acceptors.count + mourners.count
      + streams.values.reduce(0) { $0 + $1.senders.count + ($1.receiver == nil ? 0 : 1) }
  }
}
