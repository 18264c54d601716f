import CShims
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDNet
@testable import FDPoller

/// Connections that end while the kernel has their bytes, or is about to get them.
@Suite("Ends with bytes in flight", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ConnectionFlightTests {
  enum Ending: CaseIterable, Sendable {
    case delete
    case foreignDelete
    case abort
    case drain
    case peerReset

    var reasons: [CloseReason] {
      switch self {
      case .delete, .foreignDelete: [.deleted]
      case .abort: [.aborted]
      case .drain: [.timedOut(.drain)]
      case .peerReset: [.failed(.connectionReset), .failed(.brokenPipe)]
      }
    }
  }

  /// Other bytes, in memory that has just been freed, if any has.
  private func churn() {
    for size in [4096, 16384, 100_000, 200_000, 262_144] {
      for _ in 0..<4 {
        var queue = ByteQueue()
        [UInt8](repeating: 0xEE, count: size).withUnsafeBytes { queue.append($0) }
      }
    }
  }

  // Fails if what was written is dropped with the connection because the tick has not ended.
  @Test("what is written right before a delete arrives before the end", arguments: Family.all)
  func writeAndDelete(family: Family) async throws {
    try await withTestedPoller(threads: 2) { poller in
      for round in 0..<60 {
        let recorder = Recorder()
        let link = try await Link(family, on: poller.loops[0], recorder)
        let bytes = pattern(1 + round * 300, seed: UInt64(round))
        try await link.call { connection in
          #expect(connection.write(bytes) == .sent)
          if round % 2 == 0 { connection.loop.delete(connection.handle) }
        }
        if round % 2 == 1 { poller.delete(link.connection.handle) }
        #expect(try link.peer.receiveToEnd() == bytes)
        #expect(await eventually { recorder.isClosed })
        #expect(recorder.log.closes == [.deleted])
      }
    }
  }

  // Fails if nobody asks for the room that the end of the output waits for.
  @Test("the end of the output follows everything, though the connection moves meanwhile")
  func finishAndMove() async throws {
    try await withTestedPoller(threads: 2) { poller in
      for round in 0..<10 {
        let recorder = Recorder.keepingOpen()
        let link = try await Link(
          on: poller.loops[0], recorder, sendBuffer: 4096, receiveBuffer: 4096)
        // With room for all of it in what the loop takes, and not.
        let bytes = pattern(round % 2 == 0 ? 40_000 : 300_000)
        try await link.call { connection in
          connection.write(bytes)
          if round % 3 == 0 { connection.finishOutput() }
          connection.move(to: poller.loops[1])
          if round % 3 == 1 { connection.finishOutput() }
        }
        if round % 3 == 2 {
          try #require(await eventually { recorder.log.moves == [1] })
          try await link.call { $0.finishOutput() }
        }
        #expect(try link.peer.receiveToEnd() == bytes)
        link.peer.close()
        #expect(await eventually { recorder.log.inputEnds == 1 || recorder.isClosed })
        poller.delete(link.connection.handle)
        #expect(await eventually { recorder.isClosed })
      }
    }
  }

  // Fails if what the loop has taken for the kernel counts as sent.
  @Test("the write deadline holds for the last bytes too", arguments: [false, true])
  func lastBytes(isFinishing: Bool) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder.keepingOpen()
      let link = try await Link(
        on: poller.loops[0], recorder,
        settings: ConnectionSettings(writeDeadline: .milliseconds(60)), sendBuffer: 4096,
        receiveBuffer: 4096)
      try await link.call {
        $0.write([UInt8](repeating: 1, count: 60_000))
        if isFinishing { $0.finishOutput() }
      }
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes == [.timedOut(.write)])
      link.peer.close()
    }
  }

  // Fails if the memory of a send goes before its completion: the peer gets what was written there
  // since. In the second mode the kernel goes on with a send in the midst of a tick.
  @Test(
    "a peer gets a part of what was written and then the end, whatever ends the connection",
    arguments: Ending.allCases, [RingMode.deferred, .interrupting])
  func sendInFlight(ending: Ending, mode: RingMode) async throws {
    try await withTestedPoller(threads: 2, rings: RingSetup(modes: [mode])) { poller in
      // Both fit into what the loop takes, or only the first one does.
      for (round, size) in [60_000, 400_000].enumerated() {
        let recorder = Recorder.keepingOpen()
        let link = try await Link(
          on: poller.loops[0], recorder,
          settings: ConnectionSettings(drainDeadline: .milliseconds(30)), sendBuffer: 4096,
          receiveBuffer: 4096)
        let bytes = pattern(size)
        try await link.call {
          #expect($0.write(bytes) != .refused)
          if ending == .drain { $0.close() }
        }
        try await link.call { _ in }
        let receiver = Background {
          // Not at once, so that the end comes when nothing moves; or in the midst of it. What the
          // peer takes puts the drain deadline off.
          if ending == .drain {
            while !recorder.isClosed { usleep(1000) }
          } else if round == 0 {
            usleep(60_000)
          }
          return try link.peer.receiveUntilOver()
        }
        if ending == .peerReset {
          link.peer.reset()
        } else if ending == .foreignDelete {
          poller.delete(link.connection.handle)
          try await link.call { _ in churn() }
        } else {
          try await link.call { connection in
            if ending == .delete { connection.loop.delete(connection.handle) }
            if ending == .abort { connection.abort() }
            for _ in 0..<8 {
              churn()
              usleep(200)
            }
          }
        }
        let received = try await receiver.value()
        #expect(ending == .peerReset || received.count < size)
        #expect(received == Array(bytes[..<received.count]))
        #expect(await eventually { recorder.isClosed })
        #expect(recorder.log.closes.count == 1 && ending.reasons.contains(recorder.log.closes[0]))
      }
    }
  }

  // Fails if what the loop has taken is forgotten when the output ends, or the end goes first.
  @Test(
    "the end of the output comes after everything, though nothing is left in the connection",
    arguments: [60_000, 400_000], [true, false])
  func finish(size: Int, closes: Bool) async throws {
    try await withTestedPoller(threads: 1, rings: .tiny()) { poller in
      var all: [(link: Link, recorder: Recorder, bytes: [UInt8])] = []
      for number in 0..<6 {
        let recorder = Recorder()
        let bytes = pattern(size, seed: UInt64(number))
        let link = try await Link(
          on: poller.loops[0], recorder, settings: ConnectionSettings(drainDeadline: .seconds(60)),
          sendBuffer: 4096, receiveBuffer: 4096)
        try await link.call {
          $0.write(bytes)
          closes ? $0.close() : $0.finishOutput()
          #expect($0.write("too late") == .refused)
        }
        all.append((link, recorder, bytes))
      }
      let receivers = all.map { one in Background { try one.link.peer.receiveToEnd() == one.bytes }
      }
      for receiver in receivers { #expect(try await receiver.value()) }
      for one in all {
        #expect(!one.recorder.isClosed)
        one.link.peer.finish()
        #expect(await eventually { one.recorder.isClosed })
        #expect(one.recorder.log.closes == [.finished])
      }
    }
  }

  // Fails if the failure of a send is told to nobody, twice, or again and again.
  @Test(
    "a reset while bytes are in flight is told once, and then the loop sleeps",
    arguments: [true, false], [true, false])
  func reset(reads: Bool, finishes: Bool) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let recorder = Recorder.keepingOpen()
      let link = try await Link(
        on: poller.loops[0], recorder, sendBuffer: 4096, receiveBuffer: 4096
      ) {
        if !reads { $0.pauseReading() }
        $0.write([UInt8](repeating: 1, count: 60_000))
        if finishes { $0.finishOutput() }
      }
      try await link.call { _ in }
      link.peer.reset()
      #expect(await eventually { recorder.isClosed })
      try await link.call {
        #expect($0.write("x") == .refused)
        $0.close()
        $0.abort()
      }
      let ticks = poller.snapshot().total[.ticks]
      #expect(await always { poller.snapshot().total[.ticks] <= ticks + 2 })
      #expect(recorder.log.closes.count == 1)
      #expect(Ending.peerReset.reasons.contains(recorder.log.closes[0]))
    }
  }

  // Fails if the ring goes while the kernel has something of it.
  @Test("a poller that stops with everything in flight leaves nothing", arguments: [true, false])
  func stop(isTiny: Bool) async throws {
    var recorders: [Recorder] = []
    var peers: [Peer] = []
    var floods: [Background<Void>] = []
    try await withTestedPoller(threads: 2, rings: isTiny ? .tiny() : RingSetup()) { poller in
      for number in 0..<12 {
        let recorder = Recorder.keepingOpen()
        if number % 3 == 0 { recorder.onReceived = { $1.pauseReading() } }
        let link = try await Link(
          on: poller.loops[number % 2], recorder, sendBuffer: 4096, receiveBuffer: 4096
        ) { $0.write([UInt8](repeating: 1, count: 600_000)) }
        recorders.append(recorder)
        let peer = link.peer
        peers.append(peer)
        floods.append(
          Background {
            let block = [UInt8](repeating: 2, count: 1000)
            for _ in 0..<2000 where (try? peer.send(block)) == nil { return }
            _ = try peer.receiveUntilOver()
          })
      }
      #expect(await eventually { recorders.allSatisfy { $0.log.receives > 0 } })
    }
    for flood in floods { try await flood.value() }
    for recorder in recorders { #expect(recorder.log.closes == [.deleted]) }
  }
}
