import FDOwnership
import Foundation
import SystemPackage
import TestKit

@testable import FDPoller

// The steps of which the tests of races are made.

extension EventLoop {
  /// Makes descriptors ready, in this order, so that the loop fetches all their events in one wait.
  ///
  /// - Parameter peers: to each of which one byte is written; the other ends are registered with this loop.
  func fetchTogether(_ peers: [FileDescriptor]) async {
    await settle()
    let gate = await hold()
    for peer in peers { peer.put() }
    gate.open()
  }

  /// Takes a descriptor over to this loop.
  func take(_ handle: FDHandle, wanting interest: Interest = .read) async -> Takeover {
    await call { self.takeOver(handle, wanting: interest) { _ in } }
  }

  /// Takes a descriptor over to this loop and parks it.
  func takeAndPark(_ handle: FDHandle, wanting interest: Interest = .read) async -> Takeover {
    await call {
      let result = self.takeOver(handle, wanting: interest) { _ in }
      if result == .taken { self.park(handle) }
      return result
    }
  }
}

extension Poller {
  /// Runs the body on a thread of its own, where it may block.
  ///
  /// - Returns: nil if it has not returned within a minute.
  func onThread<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result? {
    let result = Guarded<Result?>(nil)
    Thread.detachNewThread {
      let value = body()
      result.withLock { $0 = value }
    }
    _ = await eventually(within: .seconds(60)) { result.withLock { $0 != nil } }
    return result.value
  }
}
