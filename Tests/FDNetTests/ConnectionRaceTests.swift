import CShims
import FDPoller
import Glibc
import TestKit
import Testing

@testable import FDNet

/// Races by their names: what a connection does while a foreign thread deletes it.
@Suite("Races of connections", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ConnectionRaceTests {
  /// Takes the lowest free numbers, and notices every byte that somebody else writes to them or
  /// reads from them.
  private final class Canaries: @unchecked Sendable {
    private var pairs: [SocketPair] = []

    func hatch(_ count: Int) {
      for _ in 0..<count {
        let pair = SocketPair()
        pair.near.put(1)
        pair.far.put(2)
        pairs.append(pair)
      }
    }

    func areUnharmed() -> Bool {
      defer { pairs = [] }
      return pairs.reduce(true) { areUnharmed, pair in
        let bytes = [pair.near.drain(), pair.far.drain()]
        pair.near.closeForGood()
        pair.far.closeForGood()
        return areUnharmed && bytes == [1, 1]
      }
    }
  }

  @Test(
    "PEER_TOUCH: one side of a proxy is deleted, and nothing is written to who has its number now")
  func peerTouch() async throws {
    try await withTestedPoller(threads: 2) { poller in
      for round in 0..<200 {
        let (client, backend) = (Recorder.keepingOpen(), Recorder.keepingOpen())
        let loop = poller.loops[round % 2]
        let clientLink = try await Link(on: loop, client)
        let backendLink = try await Link(on: loop, backend)
        let (clientSide, backendSide) = (clientLink.connection, backendLink.connection)
        client.onReceived = { bytes, _ in
          backendSide.write(bytes)
          backendSide.pauseReading()
          backendSide.resumeReading()
        }
        backend.onReceived = { bytes, _ in clientSide.write(bytes) }
        client.onClosed = { _, _ in backendSide.abort() }
        backend.onClosed = { _, _ in clientSide.abort() }

        let feeder = Background {
          // Until the other side of the pair has been closed too.
          while (try? clientLink.peer.send([UInt8](repeating: 7, count: 512))) != nil {}
        }
        let drain = Background { while (try? backendLink.peer.receive())?.isEmpty == false {} }
        #expect(await eventually { client.log.receives > round % 4 })
        let canaries = Canaries()
        let victim = round % 3 == 0 ? clientSide : backendSide
        // On a thread of its own, so that it comes at any moment.
        let vandal = Background {
          poller.delete(victim.handle)
          canaries.hatch(4)
        }
        try await vandal.value()
        #expect(await eventually { client.isClosed && backend.isClosed })
        try await feeder.value()
        try await drain.value()
        #expect(canaries.areUnharmed())
        #expect(client.log.closes.count == 1 && backend.log.closes.count == 1)
      }
    }
  }

  @Test("a foreign delete comes at any moment of a busy connection, and closed comes once")
  func deleteWhileBusy() async throws {
    try await withTestedPoller(threads: 3) { poller in
      for round in 0..<200 {
        let recorder = Recorder.echo()
        let link = try await Link(
          on: poller.loops[round % 3], recorder,
          settings: ConnectionSettings(
            highWatermark: 2000, lowWatermark: 500, idleDeadline: .milliseconds(1 + round % 5)),
          sendBuffer: 4096)
        let feeder = Background {
          while (try? link.peer.send([UInt8](repeating: 7, count: 512))) != nil {}
        }
        let drain = Background { while (try? link.peer.receive())?.isEmpty == false {} }
        usleep(UInt32(round % 7) * 300)
        let handle = link.connection.handle
        let deletions = [
          Background { poller.delete(handle) }, Background { poller.delete(handle) },
        ]
        var won = 0
        for deletion in deletions where try await deletion.value() { won += 1 }
        #expect(won <= 1)
        #expect(await eventually { recorder.isClosed })
        try await feeder.value()
        try await drain.value()
        let reason: CloseReason = won == 1 ? .deleted : .timedOut(.idle)
        #expect(recorder.log.closes == [reason])
      }
    }
  }
}
