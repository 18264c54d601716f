import FDPoller
import TestKit
import Testing

@testable import FDNet

extension ConnectionPool {
  /// Checks a connection out on the loop, waits for it, and gives it the handler.
  func checkOut(
    _ address: SocketAddress, on loop: EventLoop, isRepeatable: Bool = true,
    handler: Recorder = .keepingOpen()
  ) async throws -> Connection {
    let result = Guarded<Result<Connection, ConnectError>?>(nil)
    try await loop.call {
      self.checkOut(address, on: loop, isRepeatable: isRepeatable, deadline: .seconds(20)) {
        #expect(loop.isCurrent)
        result.value = $0
        if case .success(let connection) = $0 { connection.setHandler(handler) }
      }
      #expect(result.value == nil, "the completion came within the call")
    }
    #expect(await eventually { result.value != nil })
    return try #require(result.value).get()
  }

  /// Takes an idle connection on the loop, if there is one.
  func takeIdle(
    _ address: SocketAddress, on loop: EventLoop, handler: Recorder = .keepingOpen()
  ) async throws -> Connection? {
    try await loop.call {
      let connection = self.takeIdle(address, on: loop)
      connection?.setHandler(handler)
      return connection
    }
  }

  /// Checks a connection in on its loop.
  @discardableResult
  func checkIn(_ connection: Connection, on loop: EventLoop) async throws -> Bool {
    try await loop.call {
      #expect(connection.loop === loop)
      return self.checkIn(connection)
    }
  }

  /// Makes so many connections that are idle on the loop, the newest last.
  func fill(
    _ count: Int, to address: SocketAddress, on loop: EventLoop
  ) async throws -> [Connection] {
    var connections: [Connection] = []
    for _ in 0..<count {
      connections.append(try await checkOut(address, on: loop, isRepeatable: false))
    }
    for connection in connections { #expect(try await checkIn(connection, on: loop)) }
    return connections
  }
}

extension PoolStatistics {
  /// Whether every connection that was kept is accounted for.
  var isBalanced: Bool { kept == idle + reusedLocally + takenOver + purged + stale }
}

/// Limits that keep everything for the time of a test, reused whether it is repeatable or not.
func keepingLimits(_ change: (inout PoolLimits) -> Void = { _ in }) -> PoolLimits {
  var limits = PoolLimits()
  limits.reuse = .safe
  limits.idlePerDestination = 1000
  limits.idleTime = .seconds(600)
  limits.purgeInterval = .seconds(600)
  limits.lowDescriptorRatio = 1
  limits.highDescriptorRatio = 1
  change(&limits)
  return limits
}
