import CShims
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDNet
@testable import FDPoller

/// Connections whose ring has next to no room, and rings that lack something.
@Suite(
  "Bytes through tiny rings", .serialized, .everyBackend, .ioUringOnly, .ledger, .connectionLedger)
struct UringBytesTests {
  /// A link, and what its peer sends.
  private struct Dialogue {
    let link: Link
    let recorder: Recorder
    let bytes: [UInt8]
  }

  /// Connections that echo, each with bytes of its own to be sent.
  private func dialogues(
    _ count: Int, bytes: Int, on loop: EventLoop, sendBuffer: Int32? = nil,
    recorder makeRecorder: () -> Recorder = { .echo() }
  ) async throws -> [Dialogue] {
    let settings = ConnectionSettings(highWatermark: 16 << 10, lowWatermark: 4 << 10)
    var dialogues: [Dialogue] = []
    for number in 0..<count {
      let recorder = makeRecorder()
      let link = try await Link(
        on: loop, recorder, settings: settings, sendBuffer: sendBuffer, receiveBuffer: sendBuffer)
      dialogues.append(
        Dialogue(
          link: link, recorder: recorder, bytes: pattern(bytes, seed: UInt64(number + 1))))
    }
    return dialogues
  }

  /// Lets all peers send at once, and checks that each gets back what it has sent.
  private func run(_ dialogues: [Dialogue]) async throws {
    let senders = dialogues.map { dialogue in
      Background {
        try dialogue.link.peer.send(dialogue.bytes)
        dialogue.link.peer.finish()
      }
    }
    let receivers = dialogues.map { dialogue in
      Background { try dialogue.link.peer.receiveToEnd() == dialogue.bytes }
    }
    for sender in senders { try await sender.value() }
    for receiver in receivers { #expect(try await receiver.value()) }
    for dialogue in dialogues {
      #expect(await eventually { dialogue.recorder.isClosed })
      #expect(dialogue.recorder.log.closes == [.finished])
    }
  }

  // Fails if a receive that found no buffer is not made again, or if a buffer that a handler has
  // read, or that nobody reads, does not go back.
  @Test("with hardly a buffer to receive into nothing is lost or mixed up", arguments: [1, 2, 4])
  func fewBuffers(count: Int) async throws {
    let rings = RingSetup(buffers: (count: count, size: 64))
    try await withTestedPoller(threads: 1, rings: rings) { poller in
      let bytes = TestRun.isSanitized ? 6 << 10 : 24 << 10
      try await run(try await dialogues(16, bytes: bytes, on: poller.loops[0]))
      let counts = poller.snapshot().loops[0]
      #expect(counts[.ringBuffersLowWater] == 0)
      #expect(counts[.ringRearms] > 0)
    }
  }

  // Fails if the receive of a connection that does not read goes on, or if what it has brought by
  // then stays in its buffer: what the handler has got, or what came after its pause.
  @Test(
    "a paused connection keeps no buffer from the others, and little memory",
    arguments: [(256, 1, 64), (1, 4, 64), (256, 512, 8192)])
  func pausedReader(perWait: Int, count: Int, size: Int) async throws {
    let rings = RingSetup(completionsPerWait: perWait, buffers: (count: count, size: size))
    try await withTestedPoller(threads: 1, rings: rings) { poller in
      let slow = Recorder()
      slow.onReceived = { $1.pauseReading() }
      let link = try await Link(on: poller.loops[0], slow) {
        _ = fdp_set_option($0.handle.fd, SOL_SOCKET, SO_RCVBUF, 16384)
      }
      _ = fdp_set_option(link.peer.fd, SOL_SOCKET, SO_SNDBUF, 16384)
      let bytes = pattern(1 << 20)
      let first = try await Background { try link.peer.flood(bytes) }.value()
      #expect(first < 512 << 10, "the loop holds what nobody reads: \(first) bytes")
      try await run(try await dialogues(4, bytes: 16 << 10, on: poller.loops[0]))
      #expect(slow.log.receives == 1)
      // Between the ticks all are the kernel's.
      let loop = poller.loops[0]
      #expect(try await loop.call { loop.backend.uring?.buffers.taken } == 0)

      slow.onReceived = { _, _ in }
      try await link.call { $0.resumeReading() }
      try await Background {
        try link.peer.send(Array(bytes[first...]))
        link.peer.finish()
      }.value()
      #expect(await eventually { slow.isClosed })
      #expect(slow.bytes == bytes)
    }
  }

  // Fails if a receive is made again while the last ones have left more than their user can read.
  @Test("a connection that reads slowly, with pauses, is not brought ever more")
  func readsSlowly() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let loop = poller.loops[0]
      let most = Guarded(0)
      let slow = Recorder()
      slow.onReceived = { _, connection in
        let registration = loop.backend.uring?.registrations.pointer(to: connection.handle.fd)
        let stream = registration?.pointee.stream?.takeUnretainedValue()
        most.withLock { $0 = max($0, stream?.backlog.count ?? 0) }
        connection.pauseReading()
        loop.schedule(after: .milliseconds(2)) { connection.resumeReading() }
      }
      let link = try await Link(on: loop, slow)
      let bytes = pattern(24 << 20)
      try await Background {
        try link.peer.send(bytes)
        link.peer.finish()
      }.value()
      #expect(await eventually { slow.isClosed })
      #expect(slow.bytes == bytes)
      // All buffers of the loop, which may be full before the kernel hears of the pause, and a bit.
      #expect(most.value < 6 << 20, "at hand: \(most.value) bytes")
      #expect(most.value > 0)
    }
  }

  // Fails if a receive is not made again after its cancellation, or if what comes during that is
  // dropped.
  @Test(
    "a connection that pauses at every receive gets everything in its order", arguments: [1, 4])
  func pausesAlways(buffers: Int) async throws {
    try await withTestedPoller(threads: 1, rings: .tiny(buffers: buffers)) { poller in
      let loop = poller.loops[0]
      var turn = 0
      let all = try await dialogues(6, bytes: 12_000, on: loop) {
        let recorder = Recorder()
        turn += 1
        let isDeferred = turn % 2 == 0
        recorder.onReceived = { bytes, connection in
          connection.write(bytes)
          connection.pauseReading()
          // Before the kernel has heard of the pause, or after.
          if isDeferred {
            connection.loop.schedule(after: .zero) { connection.resumeReading() }
          } else {
            connection.loop.defer { connection.resumeReading() }
          }
        }
        return recorder
      }
      try await run(all)
      #expect(all.allSatisfy { $0.recorder.log.receives > 10 })
      #expect(loop.counters[.ringOverflows] > 0)
    }
  }

  // Fails if a submission that finds no room is forgotten, or a request that the kernel ends because
  // its answers have no room is not made again.
  @Test("tiny queues of submissions and completions lose nothing", arguments: [1, 2])
  func tinyQueues(submissions: UInt32) async throws {
    let rings = RingSetup.tiny(submissions: submissions, buffers: 4)
    try await withTestedPoller(threads: 1, rings: rings) { poller in
      let loop = poller.loops[0]
      // Small sockets, so that every send is a part of what there is.
      let all = try await dialogues(12, bytes: 64 << 10, on: loop, sendBuffer: 4096)
      // They come and go meanwhile, with receives and sends in flight.
      let visitors = Background {
        for _ in 0..<100 {
          let gone = Guarded(false)
          loop.run {
            let pair = SocketPair()
            let recorder = Recorder()
            recorder.onClosed = { _, _ in
              pair.far.closeForGood()
              gone.value = true
            }
            let connection = Connection(loop: loop, settings: .init(), phase: .open)
            guard (try? connection.insert(pair.near.rawValue)) != nil else { return }
            connection.setHandler(recorder)
            connection.write([UInt8](repeating: 1, count: 600_000))
            loop.schedule(after: .milliseconds(1)) { connection.abort() }
          }
          while !gone.value { usleep(200) }
        }
      }
      try await run(all)
      try await visitors.value()
      #expect(loop.counters[.ringOverflows] > 0)
      #expect(loop.counters[.ringRearms] > 0)
      #expect(loop.counters[.ringSubmissions] > 1000)
    }
  }

  // Fails if connections or listeners rely on what only the best kernels have.
  @Test("every way to set a ring up moves bytes", arguments: RingMode.allCases)
  func modes(mode: RingMode) async throws {
    try await serve(RingSetup(modes: [mode]))
  }

  // Fails if bytes or clients come by the ring's receives and accepts alone.
  @Test(
    "a ring that cannot receive or accept repeatedly serves all the same",
    arguments: [(false, true), (true, false), (false, false)])
  func fallbacks(receives: Bool, accepts: Bool) async throws {
    try await serve(RingSetup(tries: (receives: receives, accepts: accepts)))
  }

  /// Echoes to clients of a listener over two loops, and moves, pauses and ends connections.
  private func serve(_ rings: RingSetup) async throws {
    try await withTestedPoller(threads: 2, rings: rings) { poller in
      let server = Server()
      try await withListener(
        .loopback(port: 0), on: poller, server,
        settings: ConnectionSettings(highWatermark: 64 << 10, lowWatermark: 16 << 10)
      ) { listener in
        let peers = try (0..<20).map { _ in try Peer(to: listener.address) }
        for (number, peer) in peers.enumerated() {
          let bytes = pattern(200_000, seed: UInt64(number))
          let sender = Background {
            try peer.send(bytes)
            peer.finish()
          }
          #expect(try await Background { try peer.receiveToEnd() == bytes }.value())
          try await sender.value()
        }
        #expect(await eventually { server.areAllClosed })
        #expect(server.recorders.allSatisfy { $0.log.closes == [.finished] })
        #expect(listener.statistics.accepted == 20)
      }
      let recorder = Recorder.echo()
      let link = try await Link(on: poller.loops[0], recorder)
      for round in 1...4 {
        let destination = poller.loops[round % 2]
        try await link.call { $0.move(to: destination) }
        try link.peer.send("ping \(round)")
        #expect(try link.peer.receiveText(6) == "ping \(round)")
        try #require(await eventually { recorder.log.moves.count == round })
      }
      #expect(recorder.log.moves == [1, 0, 1, 0])
      // Only what is received through the ring takes its buffers.
      let low = poller.snapshot().total[.ringBuffersLowWater]
      #expect(rings.tries.receives ? low < 512 : low == 0)
    }
  }
}
