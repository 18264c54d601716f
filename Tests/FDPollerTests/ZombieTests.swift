import FDOwnership
import Logging
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("Events of a descriptor that is closed", .epollOnly)
  struct ZombieTests {
    private func backend(_ parker: borrowing EventFDParker, age: Duration) throws -> EpollBackend {
      try EpollBackend(
        limit: 1024, wakeUp: parker.fd, ageOfAZombie: age, logger: Logger(label: "zombies"))
    }

    /// Registers a descriptor, closes it, and keeps its file open by a copy; its events go on.
    ///
    /// - Returns: how many of a thousand events the backend takes for a zombie's.
    private func rebuilds(_ backend: EpollBackend) -> Int {
      let pair = SocketPair(aside: true)
      let copy = pair.near.copied()
      let handle = FDHandle(fd: pair.near.rawValue, generation: Generation(rawValue: 7))
      backend.setInterest(.read, of: handle, [])
      pair.far.put()
      var rebuilds = 0
      for turn in 0..<1000 {
        let count = backend.wait(timeoutNanoseconds: 0)
        if turn == 0 { pair.near.closeForGood() }
        for index in 0..<count where backend.event(at: index).handle == handle {
          if backend.removeCause(of: handle) { rebuilds += 1 }
        }
      }
      copy.closeForGood()
      pair.far.closeForGood()
      return rebuilds
    }

    // Fails if a thread that is interrupted in the middle of a close(2) costs an epoll set: the
    // number is free then, and the file is still there.
    @Test("are no reason for a new epoll set while they may be those of an unfinished close")
    func young() throws {
      let parker = try EventFDParker()
      #expect(rebuilds(try backend(parker, age: .seconds(3600))) == 0)
      #expect(rebuilds(try backend(parker, age: .zero)) == 1)
    }
  }
}
