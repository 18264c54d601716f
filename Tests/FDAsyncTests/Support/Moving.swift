import FDNet
import FDPoller
import TestKit
import Testing

@testable import FDAsync

extension AsyncConnection {
  /// Waits until one of its tasks waits for input.
  func waitForReader() async throws {
    let isReading = try await eventually { try await self.detach { $0.reader != nil }.value }
    #expect(isReading)
  }

  /// Moves as soon as one of its tasks waits for input.
  func moveWhenItWaits(to loop: EventLoop) async -> AsyncMoveResult {
    var result = AsyncMoveResult.busy
    _ = await eventually {
      result = await self.move(to: loop)
      return result != .busy
    }
    return result
  }

  /// Is aborted when its tasks have left the loop and it has not.
  func abortWhenLeaving() {
    onHome {
      let loop = self.home.loop
      @Sendable func look() {
        guard !self.isMoving else { return self.connection.abort() }
        loop.defer { look() }
      }
      look()
    }
  }
}
