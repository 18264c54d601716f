import FDPoller
import TestKit
import Testing

@testable import FDNet

@Suite("Bytes through a connection", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ConnectionTransferTests {
  @Test("bytes go both ways", arguments: Family.all)
  func bothWays(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let link = try await Link(family, on: poller.loops[0], recorder)
      try link.peer.send("question")
      #expect(await eventually { recorder.bytes.count == 8 })
      #expect(try await link.call { $0.write("answer") } == .sent)
      #expect(try link.peer.receiveText(6) == "answer")
      #expect(recorder.bytes == Array("question".utf8))
      link.peer.close()
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes == [.finished])
    }
  }

  @Test("what the socket refuses is copied, and follows in order", arguments: Family.all)
  func refusedBytesFollowInOrder(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let link = try await Link(
        family, on: poller.loops[0], Recorder(), sendBuffer: 4096, receiveBuffer: 4096)
      let bytes = pattern(5 << 20)
      let queued = try await link.call { connection in
        // Pieces of all sizes, from a buffer that is overwritten after each write.
        var start = 0
        var step = 1
        while start < bytes.count {
          var piece = Array(bytes[start..<min(start + step, bytes.count)])
          #expect(connection.write(piece) != .refused)
          start += piece.count
          for index in piece.indices { piece[index] = 0 }
          step = step % 70_001 * 3 + 1
        }
        connection.finishOutput()
        #expect(connection.write("too late") == .refused)
        return connection.queuedOutput
      }
      #expect(queued > 4 << 20)
      let received = try await Background { try link.peer.receiveToEnd() }.value()
      #expect(received == bytes)
      #expect(try await link.call { $0.queuedOutput } == 0)
    }
  }

  @Test("an echo of megabytes is the original, however small the buffers", arguments: Family.all)
  func echo(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let settings = ConnectionSettings(highWatermark: 64 << 10, lowWatermark: 16 << 10)
      let link = try await Link(
        family, on: poller.loops[0], .echo(), settings: settings, sendBuffer: 8192,
        receiveBuffer: 8192)
      let bytes = pattern(8 << 20, seed: 3)
      let sender = Background {
        try link.peer.send(bytes)
        link.peer.finish()
      }
      let received = try await Background { try link.peer.receiveToEnd() }.value()
      try await sender.value()
      #expect(received == bytes)
    }
  }

  @Test("above the high watermark writes say so, and the fall to the low one is told once per rise")
  func watermarks() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let lows = Guarded<[Int]>([])
      recorder.onDrained = { connection in
        lows.withLock { $0.append(connection.queuedOutput) }
        #expect(!connection.isCongested)
      }
      let settings = ConnectionSettings(highWatermark: 600_000, lowWatermark: 50_000)
      let link = try await Link(
        on: poller.loops[0], recorder, settings: settings, sendBuffer: 4096, receiveBuffer: 4096)
      var total = 0
      for round in 1...3 {
        total += try await link.call { connection in
          // While this runs nothing is flushed, so the numbers are exact.
          var written = 0
          func write(_ count: Int) -> WriteResult {
            written += count
            return connection.write([UInt8](repeating: 7, count: count))
          }
          while write(1000) == .sent {}
          #expect(connection.queuedOutput > 0)
          #expect(write(600_000 - connection.queuedOutput) == .queued)
          #expect(connection.queuedOutput == 600_000 && !connection.isCongested)
          #expect(write(1) == .queuedAboveWatermark)
          #expect(connection.isCongested)
          #expect(write(1) == .queuedAboveWatermark)
          return written
        }
        #expect(recorder.log.drains == round - 1)
        let wanted = total
        _ = try await Background { try link.peer.receive(exactly: wanted) }.value()
        total = 0
        #expect(await eventually { recorder.log.drains == round })
        #expect(try await link.call { $0.queuedOutput } == 0)
      }
      #expect(lows.value.allSatisfy { $0 <= 50_000 })

      // What never rises above the high watermark is not told.
      let written = try await link.call { connection in
        var written = 1000
        while connection.write([UInt8](repeating: 7, count: 1000)) == .sent { written += 1000 }
        connection.write([UInt8](repeating: 7, count: 100_000))
        return written + 100_000
      }
      _ = try await Background { try link.peer.receive(exactly: written) }.value()
      #expect(try await link.call { $0.queuedOutput } == 0)
      #expect(recorder.log.drains == 3)
    }
  }

  @Test("the user may write again when told of the drain")
  func writeWhenDrained() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let remaining = Guarded(20)
      recorder.onDrained = { connection in
        let goesOn = remaining.withLock { count in
          count -= 1
          return count >= 0
        }
        if !goesOn { return connection.finishOutput() }
        while connection.write([UInt8](repeating: 1, count: 10_000)) != .queuedAboveWatermark {}
      }
      let settings = ConnectionSettings(highWatermark: 30_000, lowWatermark: 0)
      let link = try await Link(
        on: poller.loops[0], recorder, settings: settings, sendBuffer: 4096, receiveBuffer: 4096)
      try await link.call { recorder.drained($0) }
      let received = try await Background { try link.peer.receiveToEnd() }.value()
      #expect(received.count >= 20 * 30_000)
      #expect(recorder.log.drains == 21)
    }
  }

  @Test("a paused connection receives nothing until it resumes", arguments: Family.all)
  func pauseAndResume(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let link = try await Link(family, on: poller.loops[0], recorder) { $0.pauseReading() }
      try link.peer.send("one")
      link.peer.finish()
      #expect(await always { recorder.log.receives == 0 && recorder.log.inputEnds == 0 })
      try await link.call { $0.resumeReading() }
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.bytes == Array("one".utf8))
      #expect(recorder.log.inputEnds == 1)
    }
  }

  @Test("a pause from inside received holds although there is more")
  func pauseInside() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      recorder.onReceived = { $1.pauseReading() }
      let link = try await Link(on: poller.loops[0], recorder) { $0.pauseReading() }
      let bytes = pattern(300_000)
      let sender = Background { try link.peer.send(bytes) }
      var receives = 0
      while recorder.bytes.count < bytes.count {
        try await link.call { $0.resumeReading() }
        receives += 1
        #expect(await eventually { recorder.log.receives == receives })
        #expect(await always(for: .milliseconds(10)) { recorder.log.receives == receives })
      }
      try await sender.value()
      #expect(recorder.bytes == bytes)
      #expect(receives > 3)
    }
  }

  @Test("a connection that floods its loop does not keep the others waiting")
  func flood() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let flooded = Recorder.echo()
      let isDone = Guarded(false)
      let flood = try await Link(on: poller.loops[0], flooded)
      let quiet = try await Link(on: poller.loops[0], .echo())
      let sender = Background {
        let block = [UInt8](repeating: 1, count: 1 << 20)
        while !isDone.value { try flood.peer.send(block) }
        flood.peer.finish()
      }
      let receiver = Background { try flood.peer.receiveToEnd().count }
      for _ in 0..<20 {
        try quiet.peer.send("ping")
        #expect(try quiet.peer.receiveText(4) == "ping")
      }
      isDone.value = true
      try await sender.value()
      #expect(try await receiver.value() == flooded.bytes.count)
    }
  }

  @Test("the addresses are those of the two sockets until the connection is closed")
  func addresses() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let link = try await Link(on: poller.loops[0], recorder)
      let (local, peer) = try await link.call { ($0.localAddress, $0.peerAddress) }
      #expect(local?.family == .ipv4 && peer?.family == .ipv4)
      #expect(local != peer && local?.port != nil && peer?.port != nil)
      let afterwards = try await link.call {
        $0.abort()
        return ($0.localAddress, $0.peerAddress)
      }
      #expect(afterwards.0 == nil && afterwards.1 == nil)
    }
  }
}

@Suite("Reflection")
struct ReflectionTests {
  @Test("dumping what has fields that cannot be copied does not crash")
  func dumps() async throws {
    try await Ledger.closed {
      try await withTestedPoller(threads: 1) { poller in
        let pool = ConnectionPool(on: poller)
        let listener = try Listener(.loopback(port: 0), on: poller) { _ in nil }
        let link = try await Link(on: poller.loops[0], Recorder())
        var text = ""
        dump([poller, poller.loops[0], pool, listener, link.connection] as [Any], to: &text)
        #expect(text.contains("handle: fd"))
        listener.close()
      }
    }
  }
}
