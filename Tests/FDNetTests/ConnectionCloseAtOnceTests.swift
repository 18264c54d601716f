import FDPoller
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDNet

/// For a peer that has said, in its protocol, that it sends nothing more.
@Suite(
  "A close that need not await the peer", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ConnectionCloseAtOnceTests {
  @Test("is over at once, and the peer gets everything", arguments: Family.all)
  func awaitingNobody(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      recorder.onReceived = { _, connection in
        connection.write("last words")
        connection.close(awaitingPeer: false)
      }
      let link = try await Link(
        family, on: poller.loops[0], recorder,
        settings: ConnectionSettings(drainDeadline: .milliseconds(100)))
      try link.peer.send("my last question")
      #expect(await eventually { recorder.isClosed })
      // It would have waited in vain.
      #expect(recorder.log.closes == [.finished])
      #expect(try link.peer.receiveToEnd() == Array("last words".utf8))
    }
  }

  @Test("awaits it while bytes are left", arguments: Family.all)
  func unsent(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let link = try await Link(
        family, on: poller.loops[0], recorder, sendBuffer: 4096, receiveBuffer: 4096)
      let bytes = pattern(1 << 20)
      try await link.call {
        $0.write(bytes)
        $0.close(awaitingPeer: false)
        #expect($0.isClosing && $0.queuedOutput > 0)
      }
      #expect(try link.peer.receiveToEnd() == bytes)
      link.peer.finish()
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes == [.finished])
    }
  }

  @Test("awaits it while something is unread, which would be a reset", arguments: Family.all)
  func unread(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      recorder.onReceived = { _, connection in
        connection.write("enough")
        connection.close(awaitingPeer: false)
      }
      let link = try await Link(family, on: poller.loops[0], recorder) { $0.pauseReading() }
      // More than one receive takes.
      let sender = Background {
        try link.peer.send(pattern(1 << 20))
        link.peer.finish()
      }
      let hasMuch = try await eventually {
        try await link.call { connection in
          withUnsafeTemporaryAllocation(byteCount: 80_000, alignment: 1) {
            recv(connection.handle.fd, $0.baseAddress, $0.count, Int32(MSG_PEEK)) == $0.count
          }
        }
      }
      #expect(hasMuch)
      try await link.call { $0.resumeReading() }
      try await sender.value()
      #expect(try link.peer.receiveToEnd() == Array("enough".utf8))
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes == [.finished])
    }
  }
}
