import FDPoller
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDNet

@Suite("The end of a connection", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ConnectionCloseTests {
  @Test("after finishOutput the peer reads the end, and input goes on", arguments: Family.all)
  func outputFirst(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder.keepingOpen()
      let link = try await Link(family, on: poller.loops[0], recorder)
      try await link.call {
        $0.write("last words")
        $0.finishOutput()
        #expect(!$0.isWritable && !$0.isClosing)
      }
      #expect(try link.peer.receiveToEnd() == Array("last words".utf8))
      try link.peer.send("still here")
      #expect(await eventually { recorder.bytes == Array("still here".utf8) })
      #expect(recorder.log.closes.isEmpty)
      link.peer.finish()
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.inputEnds == 1)
      #expect(recorder.log.closes == [.finished])
    }
  }

  @Test("the peer's end is told once, and output works on", arguments: Family.all)
  func inputFirst(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder.keepingOpen()
      let link = try await Link(family, on: poller.loops[0], recorder)
      try link.peer.send("bye")
      link.peer.finish()
      #expect(await eventually { recorder.log.inputEnds == 1 })
      for text in ["one ", "two"] {
        #expect(try await link.call { $0.write(text) } == .sent)
        #expect(try link.peer.receiveText(text.utf8.count) == text)
      }
      #expect(recorder.log.closes.isEmpty)
      try await link.call { $0.finishOutput() }
      #expect(try link.peer.receiveToEnd().isEmpty)
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.inputEnds == 1)
      #expect(recorder.log.closes == [.finished])
    }
  }

  @Test("a close sends everything first, though the peer goes on sending", arguments: Family.all)
  func closeLingers(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let link = try await Link(
        family, on: poller.loops[0], recorder,
        settings: ConnectionSettings(drainDeadline: .seconds(60)), sendBuffer: 4096,
        receiveBuffer: 4096)
      let bytes = pattern(3 << 20)
      let received = Guarded<[UInt8]?>(nil)
      try await link.call {
        $0.write(bytes)
        $0.close()
        #expect($0.isClosing && $0.queuedOutput > 0)
      }
      let sender = Background {
        // More than all buffers hold, before, during and after what it receives.
        let noise = [UInt8](repeating: 9, count: 100_000)
        for _ in 0..<20 { try link.peer.send(noise) }
        while received.value == nil { try link.peer.send(noise) }
        for _ in 0..<5 { try link.peer.send(noise) }
        link.peer.finish()
      }
      let receiver = Background {
        let got = try link.peer.receiveToEnd()
        received.value = got
        return got == bytes
      }
      #expect(try await receiver.value())
      try await sender.value()
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes == [.finished])
      #expect(recorder.log.receives == 0 && recorder.log.inputEnds == 0)
    }
  }

  @Test("a close waits for a peer that does not end until the drain deadline, no longer")
  func drainDeadline() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let settings = ConnectionSettings(drainDeadline: .milliseconds(100))
      let link = try await Link(on: poller.loops[0], recorder, settings: settings)
      let start = ContinuousClock.now
      try await link.call {
        $0.write("x")
        $0.close()
      }
      #expect(try link.peer.receiveToEnd() == Array("x".utf8))
      #expect(await eventually { recorder.isClosed })
      #expect(ContinuousClock.now - start >= .milliseconds(100))
      #expect(recorder.log.closes == [.timedOut(.drain)])
    }
  }

  @Test("a close goes on beyond the drain deadline as long as the peer takes something")
  func slowPeer() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let link = try await Link(
        on: poller.loops[0], recorder,
        settings: ConnectionSettings(drainDeadline: .milliseconds(1500)), sendBuffer: 16384,
        receiveBuffer: 16384)
      let bytes = pattern(1 << 20)
      try await link.call {
        $0.write(bytes.span.bytes)
        $0.close()
      }
      // For longer than the deadline, but never for so long at a time.
      let received = try await Background {
        var received: [UInt8] = []
        let start = ContinuousClock.now
        while received.count < bytes.count {
          let part = try link.peer.receive(atMost: 32 << 10)
          guard !part.isEmpty else { break }
          received += part
          let isEarly = ContinuousClock.now - start < .seconds(3)
          usleep(isEarly ? 100_000 : 0)
        }
        return received
      }.value()
      #expect(received == bytes)
      link.peer.finish()
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes == [.finished])
    }
  }

  @Test("a peer that takes nothing cannot hold a closing connection either")
  func drainDeadlineWithQueue() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let settings = ConnectionSettings(drainDeadline: .milliseconds(50))
      let link = try await Link(
        on: poller.loops[0], recorder, settings: settings, sendBuffer: 4096, receiveBuffer: 4096)
      try await link.call {
        $0.write([UInt8](repeating: 1, count: 3 << 20))
        $0.close()
      }
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes == [.timedOut(.drain)])
    }
  }

  @Test("an abort is a reset for the peer", arguments: Family.tcp)
  func abortResets(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let link = try await Link(family, on: poller.loops[0], recorder)
      try await link.call { $0.abort() }
      #expect(throws: Errno.connectionReset) { try link.peer.receive() }
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes == [.aborted])
    }
  }

  @Test("who abandons a connection is not told of its end", arguments: [false, true])
  func abandoned(isGone: Bool) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let loop = poller.loops[0]
      let recorder = Recorder()
      let link = try await Link(on: loop, recorder)
      if isGone {
        // Gone before it had this handler, whose call is on its way.
        try await link.call { $0.handler = nil }
        try await link.call { $0.abort() }
        try await loop.call {}
      }
      try await link.call {
        if isGone { $0.setHandler(recorder) }
        $0.abandon()
        #expect($0.isClosing)
      }
      #expect(throws: Errno.connectionReset) { try link.peer.receive() }
      for _ in 0..<3 { try await loop.call {} }
      #expect(poller.snapshot().liveDescriptors == 0)
      #expect(recorder.log.closes.isEmpty)
    }
  }

  @Test("an abort drops what is queued", arguments: Family.all)
  func abortWithQueue(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let link = try await Link(
        family, on: poller.loops[0], recorder, sendBuffer: 4096, receiveBuffer: 4096)
      try await link.call {
        $0.write([UInt8](repeating: 1, count: 3 << 20))
        $0.close()
        $0.abort()
        #expect($0.isClosing)
      }
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes == [.aborted])
      let received = (try? link.peer.receiveToEnd())?.count ?? 0
      #expect(received < 3 << 20)
    }
  }

  @Test("the peer's reset is told as such", arguments: Family.tcp)
  func peerResets(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let link = try await Link(family, on: poller.loops[0], recorder)
      link.peer.reset()
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes == [.failed(.connectionReset)])
      #expect(recorder.log.inputEnds == 0)
    }
  }

  @Test("a write into a reset connection ends it, and is refused if the kernel is asked at once")
  func writeAfterReset() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      // Paused, so that it does not learn of the reset by itself.
      let link = try await Link(on: poller.loops[0], recorder) { $0.pauseReading() }
      link.peer.reset()
      #expect(await always { !recorder.isClosed })
      let asksAtOnce = TestedBackend.name == "epoll"
      try await link.call { connection in
        let result = connection.write("x")
        #expect(result == (asksAtOnce ? .refused : .sent))
        #expect(connection.isClosing == asksAtOnce && connection.isWritable != asksAtOnce)
        #expect(!recorder.isClosed)
      }
      #expect(await eventually { recorder.isClosed })
      let reasons: [CloseReason] = [.failed(.connectionReset), .failed(.brokenPipe)]
      #expect(recorder.log.closes.count == 1 && reasons.contains(recorder.log.closes[0]))
    }
  }

  @Test("a reset while output is queued ends a paused connection")
  func resetWhileQueued() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let link = try await Link(
        on: poller.loops[0], recorder, sendBuffer: 4096, receiveBuffer: 4096
      ) {
        $0.pauseReading()
        $0.write([UInt8](repeating: 1, count: 3 << 20))
      }
      link.peer.reset()
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes.count == 1)
    }
  }

  @Test("a peer that takes nothing any more is heard on, until the drain deadline")
  func deafPeer() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder()
      let link = try await Link(
        .unix, on: poller.loops[0], recorder,
        settings: ConnectionSettings(drainDeadline: .seconds(3)))
      shutdown(link.peer.fd, Int32(SHUT_RD))
      try await link.call { $0.write("is anybody there?") }
      // It is refused now, or as soon as the loop has asked the kernel.
      #expect(await eventually { (try? await link.call { !$0.isWritable }) ?? true })
      try link.peer.send("no")
      #expect(await eventually { recorder.bytes == Array("no".utf8) })
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes == [.failed(.brokenPipe)])
      #expect(recorder.log.inputEnds == 0)
    }
  }

  @Test("a connection deleted by a foreign thread is told once", arguments: [false, true])
  func foreignDelete(isClosing: Bool) async throws {
    try await withTestedPoller(threads: 2) { poller in
      let recorder = Recorder()
      let link = try await Link(on: poller.loops[0], recorder) { if isClosing { $0.close() } }
      #expect(poller.delete(link.connection.handle))
      #expect(!poller.delete(link.connection.handle))
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes == [.deleted])
      #expect(try await link.call { $0.write("x") } == .refused)
    }
  }

  @Test("when the poller stops every connection is told, whatever it is doing")
  func pollerStops() async throws {
    var recorders: [Recorder] = []
    var peers: [Peer] = []
    try await withTestedPoller(threads: 2) { poller in
      let states: [@Sendable (Connection) -> Void] = [
        { _ in }, { $0.pauseReading() }, { $0.finishOutput() }, { $0.close() },
        { $0.write([UInt8](repeating: 1, count: 3 << 20)) },
        { connection in
          connection.write([UInt8](repeating: 1, count: 3 << 20))
          connection.close()
        },
        { connection in connection.move(to: poller.loops[1 - connection.loop.index]) },
      ]
      for setUp in states {
        let recorder = Recorder.keepingOpen()
        let link = try await Link(
          on: poller.loops[recorders.count % 2], recorder, sendBuffer: 4096, receiveBuffer: 4096,
          setUp: setUp)
        recorders.append(recorder)
        peers.append(link.peer)
      }
    }
    for recorder in recorders { #expect(recorder.log.closes == [.deleted]) }
  }

  @Test("a handler that is set too late is told of the end all the same, once")
  func lateHandler() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let loop = poller.loops[0]
      let early = Recorder()
      let link = try await Link(on: loop, early)
      try await link.call { $0.handler = nil }
      try await link.call { $0.abort() }
      try await loop.call {}
      let late = [Recorder(), Recorder()]
      try await link.call { connection in
        for handler in late { connection.setHandler(handler) }
        #expect(!late[0].isClosed)
      }
      #expect(await eventually { late[0].isClosed })
      try await loop.call {}
      #expect(late[0].log.closes == [.aborted])
      #expect(late[1].log.closes.isEmpty && early.log.closes.isEmpty)
    }
  }

  @Test("without a handler a connection waits with its input, and its loop sleeps")
  func withoutHandler() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let loop = poller.loops[0]
      let recorder = Recorder()
      let link = try await Link(on: loop, recorder)
      try await link.call { $0.handler = nil }
      try link.peer.send("waiting")
      link.peer.finish()
      // One tick for the event, and those of the calls.
      try await Task.sleep(for: .milliseconds(20))
      let before = poller.snapshot().loops[0][.ticks]
      try await Task.sleep(for: .milliseconds(100))
      #expect(poller.snapshot().loops[0][.ticks] - before < 5)
      try await link.call { $0.setHandler(recorder) }
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.bytes == Array("waiting".utf8))
    }
  }
}
