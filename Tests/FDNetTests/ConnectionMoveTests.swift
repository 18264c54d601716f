import FDPoller
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDNet

@Suite("Moving a connection", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ConnectionMoveTests {
  @Test("a connection that moves on in mid-conversation keeps every byte in its order")
  func underTraffic() async throws {
    // Loops of one index in two groups have the same bit (GROUP_BIT).
    try await withTestedPoller(threads: 4, groups: 2) { poller in
      let recorder = Recorder.echo()
      let echo = recorder.onReceived
      let received = Guarded((bytes: 0, moveAt: 100_000))
      let destination = Guarded(0)
      recorder.onReceived = { bytes, connection in
        echo(bytes, connection)
        let isDue = received.withLock { count in
          count.bytes += bytes.byteCount
          guard count.bytes >= count.moveAt else { return false }
          count.moveAt = count.bytes + 100_000
          return true
        }
        guard isDue else { return }
        let next = destination.withLock { index in
          index = (index + 1) % 4
          return index
        }
        connection.move(to: poller.loops[next])
      }
      let settings = ConnectionSettings(
        highWatermark: 64 << 10, lowWatermark: 16 << 10, idleDeadline: .seconds(60))
      let link = try await Link(
        on: poller.loops[0], recorder, settings: settings, sendBuffer: 8192, receiveBuffer: 8192)
      let bytes = pattern(8 << 20)
      let sender = Background {
        try link.peer.send(bytes)
        link.peer.finish()
      }
      let isSame = try await Background { try link.peer.receiveToEnd() == bytes }.value()
      try await sender.value()
      #expect(isSame)
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes == [.finished])
      #expect(recorder.log.moves.count >= 20)
      #expect(Set(recorder.log.moves).count == 4)
      #expect(poller.snapshot().total[.takeoversWon] == recorder.log.moves.count)
    }
  }

  @Test("ten moves around the loops carry queued output, the pause and the deadline along")
  func carriesEverything() async throws {
    try await withTestedPoller(threads: 4, groups: 2) { poller in
      let recorder = Recorder.keepingOpen()
      let link = try await Link(
        on: poller.loops[0], recorder,
        settings: ConnectionSettings(idleDeadline: .seconds(6)), sendBuffer: 4096,
        receiveBuffer: 4096)
      let bytes = pattern(3 << 20)
      let start = ContinuousClock.now
      try await link.call {
        $0.pauseReading()
        #expect($0.write(bytes) == .queuedAboveWatermark)
      }
      try link.peer.send("held back")
      for number in 1...10 {
        let result = Guarded<MoveResult?>(nil)
        let destination = poller.loops[number % 4]
        try await poller.loops[(number - 1) % 4].call {
          link.connection.move(to: destination) {
            #expect(destination.isCurrent)
            result.value = $0
          }
        }
        #expect(await eventually { result.value != nil })
        try #require(result.value == .moved)
      }
      #expect(recorder.log.moves == (1...10).map { $0 % 4 })
      #expect(recorder.log.receives == 0)
      let receiver = Background { try link.peer.receive(exactly: bytes.count) == bytes }
      #expect(try await receiver.value())
      #expect(recorder.log.receives == 0)
      try await poller.loops[2].call { link.connection.resumeReading() }
      #expect(await eventually { recorder.bytes == Array("held back".utf8) })
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes == [.timedOut(.idle)])
      #expect(ContinuousClock.now - start >= .seconds(5))
    }
  }

  @Test("a move to the own loop is done when the call has returned, and tells the handler nothing")
  func toItself() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let recorder = Recorder()
      let link = try await Link(on: poller.loops[0], recorder)
      let result = Guarded<MoveResult?>(nil)
      try await link.call { connection in
        connection.move(to: connection.loop) { result.value = $0 }
        #expect(result.value == nil)
      }
      #expect(await eventually { result.value == .moved })
      #expect(recorder.log.moves.isEmpty)
      try await link.call { $0.abort() }
    }
  }

  @Test("a connection that closes or has been closed does not move")
  func refusedWhenClosing() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let endings: [@Sendable (Connection) -> Void] = [
        { $0.close() }, { $0.abort() }, { poller.delete($0.handle) },
      ]
      for (number, ending) in endings.enumerated() {
        for isEndedFirst in [true, false] {
          let recorder = Recorder()
          let link = try await Link(on: poller.loops[0], recorder)
          let result = Guarded<MoveResult?>(nil)
          try await link.call { connection in
            if isEndedFirst { ending(connection) }
            connection.move(to: poller.loops[1]) {
              #expect(poller.loops[0].isCurrent)
              result.value = $0
            }
            if !isEndedFirst { ending(connection) }
          }
          #expect(await eventually { result.value == .refused })
          link.peer.close()
          #expect(await eventually { recorder.isClosed })
          let expected: [CloseReason] = [.finished, .aborted, .deleted]
          #expect(recorder.log.closes == [expected[number]])
          #expect(recorder.log.moves.isEmpty)
        }
      }
    }
  }

  @Test("of two moves at once the second is refused, and the first goes its way")
  func twice() async throws {
    try await withTestedPoller(threads: 3) { poller in
      let recorder = Recorder.echo()
      let link = try await Link(on: poller.loops[0], recorder)
      let results = Guarded<[MoveResult]>([])
      try await link.call { connection in
        for index in [1, 2] {
          connection.move(to: poller.loops[index]) { result in
            results.withLock { $0.append(result) }
          }
        }
      }
      #expect(await eventually { results.value.count == 2 })
      #expect(Set(results.value) == [.moved, .refused])
      #expect(recorder.log.moves == [1])
      try link.peer.send("ping")
      #expect(try link.peer.receiveText(4) == "ping")
      // And later it may move again.
      try await poller.loops[1].call { link.connection.move(to: poller.loops[2]) }
      #expect(await eventually { recorder.log.moves == [1, 2] })
      link.peer.close()
      #expect(await eventually { recorder.isClosed })
    }
  }

  @Test("a move and a foreign delete: it is told once, and nothing is left")
  func againstDelete() async throws {
    try await withTestedPoller(threads: 4, groups: 2) { poller in
      for round in 0..<150 {
        let recorder = Recorder.keepingOpen()
        recorder.onMoved = { connection in
          connection.write("x")
          connection.move(to: poller.loops[(connection.loop.index + 1) % 4])
        }
        let link = try await Link(
          on: poller.loops[0], recorder,
          settings: ConnectionSettings(idleDeadline: .seconds(30))
        ) { $0.move(to: poller.loops[1]) }
        let handle = link.connection.handle
        if round % 3 > 0 { #expect(await eventually { recorder.log.moves.count > round % 5 }) }
        #expect(poller.delete(handle))
        #expect(await eventually { recorder.isClosed })
        #expect(recorder.log.closes == [.deleted])
      }
    }
  }

  // Fails if the end waits for the loop that it has left to forget it.
  @Test(
    "an abort right after a move is a reset for the peer, though the former loop stands still",
    arguments: Family.tcp)
  func abortAfterMove(family: Family) async throws {
    try await withTestedPoller(threads: 2) { poller in
      let (former, owner) = (poller.loops[0], poller.loops[1])
      for _ in 0..<10 {
        let recorder = Recorder.keepingOpen()
        let gate = Gate()
        recorder.onMoved = { connection in
          former.run { gate.wait() }
          while !gate.holdsSomebody { usleep(100) }
          connection.abort()
        }
        let link = try await Link(family, on: former, recorder)
        // So that the former loop's kernel poller knows of it.
        for _ in 0..<2 { try await former.call {} }
        try await link.call { $0.move(to: owner) }
        let error = #expect(throws: Errno.self) { try link.peer.receive() }
        try #require(error == .connectionReset)
        #expect(gate.holdsSomebody)
        #expect(await eventually { recorder.log.closes == [.aborted] })
        #expect(recorder.log.moves == [1])
        gate.open()
      }
    }
  }

  @Test("connections that move without end are closed once each when the poller stops")
  func againstStop() async throws {
    for _ in 0..<5 {
      var links: [Link] = []
      var recorders: [Recorder] = []
      try await withTestedPoller(threads: 4, groups: 2) { poller in
        for number in 0..<12 {
          let recorder = Recorder.keepingOpen()
          recorder.onMoved = { [unowned poller] connection in
            connection.move(to: poller.loops[(connection.loop.index + number % 3 + 1) % 4])
          }
          recorders.append(recorder)
          links.append(
            try await Link(
              on: poller.loops[number % 4], recorder, sendBuffer: 4096,
              setUp: { connection in
                if number % 2 == 0 { connection.write([UInt8](repeating: 1, count: 1 << 20)) }
                connection.move(to: poller.loops[(number + 1) % 4])
              }))
        }
        #expect(await eventually { recorders.allSatisfy { $0.log.moves.count > 10 } })
      }
      for recorder in recorders { #expect(recorder.log.closes == [.deleted]) }
    }
  }
}
