import FDOwnership
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  /// No loop of these tests has a timer: one that is not woken sleeps for ever, and so does whatever
  /// waits for it.
  @Suite("The peer of a descriptor that was taken over and deleted")
  struct PeerTests {
    /// Who deletes.
    enum Deleter: CaseIterable {
      case owner, formerOwner, foreigner
    }

    enum Transport: CaseIterable {
      case unix, tcp

      var pair: SocketPair { self == .tcp ? .tcp() : SocketPair() }
    }

    /// On a machine that has time for it; one round of many has to make it.
    private static let promptness: Duration = .milliseconds(50)

    // Fails if the former owner's poll keeps the file open, or if nobody wakes a loop that has to do
    // something for the close.
    @Test(
      "sees its end at once, while the loops sleep", arguments: Deleter.allCases, Transport.allCases
    )
    func loopsAsleep(deleter: Deleter, transport: Transport) async throws {
      try await whoeverDeletes(deleter, transport, isReset: false, isHeld: false)
    }

    // Fails if the close waits for the former owner to cancel its poll.
    @Test(
      "sees its end at once, though the former owner stands still",
      arguments: [Deleter.owner, .foreigner], Transport.allCases)
    func formerOwnerHeld(deleter: Deleter, transport: Transport) async throws {
      try await whoeverDeletes(deleter, transport, isReset: false, isHeld: true)
    }

    // Fails if an end is forced upon the connection without a look at SO_LINGER.
    @Test(
      "gets a reset if the close is to abort, whether the former owner sleeps or stands still",
      arguments: [Deleter.owner, .foreigner], [true, false])
    func reset(deleter: Deleter, isHeld: Bool) async throws {
      try await whoeverDeletes(deleter, .tcp, isReset: true, isHeld: isHeld)
    }

    private func whoeverDeletes(
      _ deleter: Deleter, _ transport: Transport, isReset: Bool, isHeld: Bool
    ) async throws {
      try await withTestedPoller(threads: 2) { poller in
        var fastest = Duration.seconds(60)
        var rounds = 0
        let end = ContinuousClock.now + .seconds(60)
        while rounds < 10 || fastest > Self.promptness && ContinuousClock.now < end {
          rounds += 1
          let pair = transport.pair
          if isReset { pair.near.closeResets() }
          let time = try #require(
            await timeToEnding(of: pair, as: isReset ? .reset : .end, poller, deleter, isHeld))
          fastest = min(fastest, time)
          pair.far.closeForGood()
        }
        #expect(fastest <= Self.promptness, "the fastest of \(rounds) rounds")
      }
    }

    /// How long it takes from the delete until the peer has learned of it; nil if it never does, or
    /// of something else.
    private func timeToEnding(
      of pair: SocketPair, as expected: FileDescriptor.Ending, _ poller: Poller, _ deleter: Deleter,
      _ isHeld: Bool
    ) async throws -> Duration? {
      let (former, owner) = (poller.loops[0], poller.loops[1])
      let probe = Probe()
      let handle = try poller.insert(pair.near, handler: probe, on: .loop(former))
      await former.settle()
      await former.call { former.park(handle) }
      let gate = isHeld ? await former.hold() : Gate()
      #expect(await owner.take(handle) == .taken)
      await owner.settle()
      if !isHeld { await former.settle() }
      let time = await poller.onThread { () -> Duration? in
        let start = ContinuousClock.now
        switch deleter {
        case .owner: owner.run { owner.delete(handle) }
        case .formerOwner: former.run { former.delete(handle) }
        case .foreigner: poller.delete(handle)
        }
        return pair.far.waitForEnding() == expected ? ContinuousClock.now - start : nil
      }
      #expect(gate.holdsSomebody == isHeld)
      gate.open()
      #expect(await probe.isClosedOnce())
      return time ?? nil
    }
  }
}

extension FileDescriptor {
  /// A close of the TCP socket is a reset for its peer (SO_LINGER, socket(7)).
  fileprivate func closeResets() {
    var linger = linger(l_onoff: 1, l_linger: 0)
    let result = setsockopt(
      rawValue, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
    precondition(result == 0, "SO_LINGER: errno \(errno)")
  }
}
