import FDNet
import FDPoller
import TestKit
import Testing

@testable import FDCoordination

@Suite("MultiplexedStream: on the wire", .serialized, .everyBackend, .ledger)
struct MultiplexedStreamWireTests {
  @Test(
    "7. Real framing over a real Connection, both backends", arguments: Transport.allCases)
  func framing(transport: Transport) async throws {
    try await withTestedPoller { poller in
      try await withPair(transport, on: poller) { client, server in
        let (near, far) = try await openPair(client, server, Array("echo".utf8))
        #expect(far.opening == Array("echo".utf8))
        #expect(near.id == 1 && far.id == 1)
        let echo = Task {
          while let message = try await far.receive() { try await far.send(message) }
          far.finish()
        }
        for count in [0, 1, 65_527, 65_528, 65_529, 300_000, 0, 10 << 20] {
          let message = pattern(count)
          try await near.send(message)
          #expect(try await near.receive() == message)
        }
        near.finish()
        #expect(try await near.receive() == nil)
        try await echo.value
        await #expect(throws: MultiplexedError.finished) { try await near.send([1]) }

        // The server's streams have numbers of their own.
        let (back, there) = try await openPair(server, client)
        #expect(back.id == 2)
        try await back.send([5])
        #expect(try await there.receive() == [5])
      }
      try await withRawPeer(transport, on: poller) { server, peer in
        try peer.greet()
        #expect(try peer.next() == .hello(window: 256 << 10, streams: 4096))
        let stream = try server.open([1])
        try await stream.send([2, 3])
        stream.finish()
        #expect(try peer.next() == .open(stream: 2, opening: [1]))
        #expect(try peer.next() == .data(2, [2, 3]))
        #expect(try peer.next() == .finish(stream: 2))
        try peer.send(.ping(77))
        #expect(try peer.next() == .pong(77))
        server.close()
        #expect(try peer.next() == .goodbye)
        #expect(try peer.next() == nil)
      }
    }
  }

  @Test("frames have the bytes that are documented")
  func layout() {
    #expect(
      Frame.hello(window: 0x0102_0304, streams: 5).bytes
        == [1, 0, 0, 12, 0, 0, 0, 0] + [0x46, 0x44, 0x4D, 0x31, 1, 2, 3, 4, 0, 0, 0, 5])
    #expect(
      Frame.data(0x0A0B_0C0D, [7, 8]).bytes == [3, 1, 0, 2, 0x0A, 0x0B, 0x0C, 0x0D, 7, 8])
    #expect(
      Frame.data(1, [UInt8](repeating: 0, count: Frame.mostPayload)).bytes.count == 64 << 10)
  }

  @Test("a stream of the peer beyond the limit is refused, and one that ends makes room")
  func streamLimit() async throws {
    try await withTestedPoller { poller in
      let settings = PairSettings(
        client: MultiplexedSettings(), server: MultiplexedSettings(peerStreams: 2, backlog: 1))
      try await withPair(on: poller, settings) { client, server in
        let first = try await openPair(client, server)
        // By now the client has read how many the server wants.
        try await first.1.send([1])
        _ = try await first.0.receive()
        let second = try await openPair(client, server)
        #expect(throws: MultiplexedError.tooManyStreams(limit: 2)) { try client.open() }
        first.0.finish()
        first.1.finish()
        #expect(try await first.0.receive() == nil)
        #expect(try await first.1.receive() == nil)
        #expect(await eventually { (try? client.open()) != nil })
        _ = second
      }
      // Nobody takes them: those beyond the backlog are refused.
      try await withRawPeer(on: poller, MultiplexedSettings(backlog: 1)) { server, peer in
        try peer.greet()
        try peer.send(.open(stream: 1, opening: []), .open(stream: 3, opening: []))
        let refusal = try peer.next { if case .reset = $0 { true } else { false } }
        #expect(refusal == .reset(stream: 3, code: .max))
        _ = server
      }
    }
  }

  @Test("a reset ends both directions at once, and the other streams go on")
  func reset() async throws {
    try await withTestedPoller { poller in
      try await withPair(on: poller) { client, server in
        let (near, far) = try await openPair(client, server)
        let (other, otherFar) = try await openPair(client, server)
        near.reset(code: 42)
        await #expect(throws: MultiplexedError.resetByPeer(code: 42)) { try await far.receive() }
        await #expect(throws: MultiplexedError.resetByPeer(code: 42)) { try await far.send([1]) }
        await #expect(throws: MultiplexedError.streamClosed) { try await near.receive() }
        try await other.send([1])
        #expect(try await otherFar.receive() == [1])
      }
    }
  }

  @Test("a stream that is let go of unfinished is reset, a finished or closed one ends in order")
  func lettingGo() async throws {
    try await withTestedPoller { poller in
      try await withPair(on: poller) { client, server in
        for isFinished in [false, true] {
          let far = try await {
            let (near, far) = try await openPair(client, server)
            try await near.send([1])
            if isFinished { near.finish() }
            return far
          }()
          if isFinished {
            #expect(try await far.receive() == [1])
            #expect(try await far.receive() == nil)
            // Nobody hears this end any more.
            #expect(await eventually { (try? far.trySend([2])) == nil })
          } else {
            #expect(await eventually { server.core.perform { $0.streams[far.id]?.failure } != nil })
            await #expect(throws: MultiplexedError.resetByPeer(code: 0)) { try await far.receive() }
          }
        }
        let (near, far) = try await openPair(client, server)
        near.close()
        #expect(try await far.receive() == nil)
        await #expect(throws: MultiplexedError.streamClosed) { try await near.receive() }
        #expect(await eventually { (try? far.trySend([0])) == nil })
        #expect(throws: MultiplexedError.peerStoppedListening) { try far.trySend([0]) }
      }
      // Nothing is kept of streams that are over.
      try await withPair(on: poller) { client, server in
        for _ in 0..<50 {
          let (near, far) = try await openPair(client, server)
          near.close()
          far.close()
        }
        for end in [client, server] {
          #expect(await eventually { end.core.perform { $0.streams.isEmpty } })
        }
      }
    }
  }

  @Test("streams go on while their connection moves from loop to loop")
  func moves() async throws {
    try await withTestedPoller(threads: 3) { poller in
      try await withPair(on: poller) { client, server in
        let (near, far) = try await openPair(client, server)
        let messages = TestRun.isSanitized ? 300 : 2_000
        let sending = Task {
          for number in 0..<messages {
            try await near.send(pattern(3_000, seed: UInt64(number)))
          }
          near.finish()
        }
        let received = Guarded(0)
        let moving = Task {
          var random = SeededRandom(seed: 5)
          var movedAt = -1
          while !Task.isCancelled {
            try await Task.sleep(for: .microseconds(300))
            // On a slow machine they would do nothing but move.
            guard received.value > movedAt else { continue }
            movedAt = received.value
            for end in [client, server] {
              end.move(to: poller.loops.randomElement(using: &random).unsafelyUnwrapped)
            }
          }
        }
        var number = 0
        while let message = try await far.receive() {
          if message != pattern(3_000, seed: UInt64(number)) { Issue.record("another message") }
          number += 1
          received.value = number
        }
        #expect(number == messages)
        moving.cancel()
        _ = try? await moving.value
        try await sending.value
      }
    }
  }
}
