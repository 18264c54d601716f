import FDPoller
import SystemPackage
import TestKit
import Testing

@testable import FDAsync
@testable import FDNet

extension AsyncTests {
  @Suite("Reading and writing")
  struct ReadingTests {
    @Test("what is written is read, until the end", arguments: [1, 5, 70_000, 3_000_000])
    func echoes(size: Int) async throws {
      try await withTestedPoller { poller in
        try await withServer(on: poller, echo) { listener in
          let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
          let isSame = try await withClient(of: listener.address, on: poller.loops[0]) { client in
            let reader = client.detach { try await $0.read(exactly: bytes.count) }
            client.write(bytes)
            client.finishOutput()
            let received = try await reader.value
            let end: Void? = try await client.read { _ in }
            return received == bytes && end == nil
          }
          #expect(isSame)
        }
      }
    }

    @Test("a read into a buffer takes what fits, and the rest is there for the next one")
    func intoBuffers() async throws {
      try await withTestedPoller { poller in
        try await withServer(on: poller, echo) { listener in
          let text = try await withClient(of: listener.address, on: poller.loops[0]) { client in
            client.write("the quick brown fox")
            var text: [UInt8] = []
            while text.count < 19 {
              guard let piece = try await client.read(atMost: 7) else { break }
              #expect((1...7).contains(piece.count))
              text += piece
            }
            return String(decoding: text, as: UTF8.self)
          }
          #expect(text == "the quick brown fox")
        }
      }
    }

    @Test("the input is a sequence of pieces that end with it")
    func inbound() async throws {
      try await withTestedPoller { poller in
        let collected = Guarded<[UInt8]>([])
        let serve: @Sendable (AsyncConnection) async throws -> Void = { connection in
          for try await piece in connection.inbound { collected.withLock { $0 += piece } }
        }
        try await withServer(on: poller, serve) { listener in
          try await withClient(of: listener.address, on: poller.loops[1]) { client in
            for _ in 0..<50 {
              client.write("0123456789")
              try await poller.loops[1].sleep(for: .milliseconds(1))
            }
          }
        }
        #expect(collected.value == Array(repeatElement("0123456789".utf8, count: 50).joined()))
      }
    }

    @Test("bytes that come while nobody reads stay where they are, in order, and cost no spinning")
    func lateReaders() async throws {
      try await withTestedPoller(threads: 1) { poller in
        let loop = poller.loops[0]
        let serve: @Sendable (AsyncConnection) async throws -> Void = { connection in
          var expected: UInt8 = 0
          while true {
            // Not there for a while, again and again.
            try await loop.sleep(for: .milliseconds(2))
            let isInOrder = try await connection.read { bytes in
              bytes.withUnsafeBytes { bytes in
                for byte in bytes {
                  guard byte == expected else { return false }
                  expected &+= 1
                }
                return true
              }
            }
            guard let isInOrder else { return }
            #expect(isInOrder)
          }
        }
        try await withServer(on: poller, serve) { listener in
          try await withClient(of: listener.address, on: loop) { client in
            for start in 0..<60 {
              client.write((0..<1000).map { UInt8(truncatingIfNeeded: start * 1000 + $0) })
              if start % 3 == 0 { try await loop.sleep(for: .milliseconds(1)) }
            }
          }
        }
        #expect(poller.snapshot().total[.spinningDescriptors] == 0)
        #expect(poller.snapshot().total[.events] < 20_000)
      }
    }

    @Test("a writer is told of the watermark, and waits until the peer has caught up")
    func watermarks() async throws {
      let settings = ConnectionSettings(highWatermark: 100_000, lowWatermark: 10_000)
      try await withTestedPoller { poller in
        let serve: @Sendable (AsyncConnection) async throws -> Void = { connection in
          let block = [UInt8](repeating: 7, count: 60_000)
          for _ in 0..<200 {
            if connection.write(block) == .queuedAboveWatermark {
              try await connection.drained()
              #expect(connection.connection.queuedOutput <= 10_000)
            }
          }
        }
        try await withServer(on: poller, settings: settings, serve) { listener in
          let count = try await withClient(of: listener.address, on: poller.loops[0]) { client in
            try await poller.loops[0].sleep(for: .milliseconds(20))
            return try await client.read(exactly: .max).count
          }
          #expect(count == 12_000_000)
        }
      }
    }

    @Test("a writer that waits for room learns that its peer has gone, and reads what it said")
    func lostPeers() async throws {
      let settings = ConnectionSettings(
        highWatermark: 100_000, lowWatermark: 10_000, drainDeadline: .seconds(600))
      try await withTestedPoller { poller in
        let isFull = Guarded(false)
        let endings = Guarded<[String]>([])
        let serve: @Sendable (AsyncConnection) async throws -> Void = { connection in
          let block = [UInt8](repeating: 7, count: 60_000)
          while connection.write(block) != .queuedAboveWatermark {}
          isFull.value = true
          try await connection.drained()
          let isRefused = connection.write(block) == .refused
          endings.withLock { $0.append("refused: \(isRefused)") }
          var heard: [UInt8] = []
          do {
            while case .some = try await connection.read({ bytes in
              bytes.withUnsafeBytes { heard += $0 }
            }) {}
          } catch let error as ConnectionClosed {
            endings.withLock { $0 += [String(decoding: heard, as: UTF8.self), "\(error.reason)"] }
          }
        }
        try await withServer(on: poller, settings: settings, serve) { listener in
          let peer = try TestSocket.connected(to: listener.address.port.unsafelyUnwrapped)
          #expect(peer.send("no more"))
          #expect(await eventually { isFull.value })
          peer.reset()
          #expect(await eventually { endings.value.count == 3 })
          #expect(
            endings.value == [
              "refused: true", "no more", "\(CloseReason.failed(.connectionReset))",
            ])
        }
      }
    }

    @Test("a reader learns why its connection is gone")
    func reasons() async throws {
      try await withTestedPoller { poller in
        let settings = ConnectionSettings(readDeadline: .milliseconds(20))
        let abort: @Sendable (AsyncConnection) async throws -> Void = { connection in
          _ = try await connection.read { _ in }
          connection.abort()
        }
        try await withServer(on: poller, abort) { listener in
          let reset = await #expect(throws: ConnectionClosed.self) {
            try await withClient(of: listener.address, on: poller.loops[0]) { client in
              client.write("x")
              _ = try await client.read { _ in }
            }
          }
          #expect(reset?.reason == .failed(.connectionReset))
          let text = "\(try #require(reset))"
          #expect(text.hasPrefix("the connection is gone: "))
          let late = await #expect(throws: ConnectionClosed.self) {
            try await withClient(of: listener.address, on: poller.loops[0], settings: settings) {
              _ = try await $0.read { _ in }
            }
          }
          #expect(late?.reason == .timedOut(.read))
        }
      }
    }

    @Test(
      "a peer's silence counts only while somebody reads",
      arguments: [ConnectionDeadline.read, .idle])
    func silence(deadline: ConnectionDeadline) async throws {
      let limit = Duration.milliseconds(40)
      let settings = ConnectionSettings(
        idleDeadline: deadline == .idle ? limit : nil, readDeadline: deadline == .read ? limit : nil
      )
      try await withTestedPoller { poller in
        let (mayTalk, hasTalked) = (Guarded(false), Guarded(false))
        let serve: @Sendable (AsyncConnection) async throws -> Void = { connection in
          let loop = try #require(EventLoop.current)
          while !mayTalk.value { try await loop.sleep(for: .milliseconds(1)) }
          connection.write("x")
          hasTalked.value = true
          _ = try? await connection.read { _ in }
        }
        try await withServer(on: poller, serve) { listener in
          let loop = poller.loops[0]
          try await withClient(of: listener.address, on: loop, settings: settings) { client in
            try await loop.sleep(for: limit * 4)
            #expect(client.closeReason == nil)
            mayTalk.value = true
            while !hasTalked.value { try await loop.sleep(for: .milliseconds(1)) }
            try await loop.sleep(for: limit * 2)
            // It has been there before the reader.
            let bytes = try await client.read(exactly: 1)
            #expect(bytes == Array("x".utf8))
            let heard = client.connection.deadlines.lastInput
            try await loop.sleep(for: limit)
            let reader = client.detach { try await $0.read { _ in } }
            while client.reader == nil && client.closeReason == nil { await Task.yield() }
            #expect(client.connection.deadlines.lastInput > heard)
            await #expect(throws: ConnectionClosed(reason: .timedOut(deadline))) {
              try await reader.value
            }
          }
        }
      }
    }

    @Test("an actor that lives on the loop uses a connection as its own tasks do")
    func actors() async throws {
      try await withTestedPoller { poller in
        try await withServer(on: poller, echo) { listener in
          for loop in poller.loops {
            let resident = Resident(loop)
            let end = try await resident.converse(with: listener.address)
            #expect(end == .finished)
          }
        }
      }
    }

    @Test("the end of the poller ends every wait")
    func stop() async throws {
      var waits: [Task<Void, any Error>] = []
      try await withTestedPoller { poller in
        let listener = try AsyncListener(.loopback(port: 0), on: poller)
        waits.append(Task { await listener.serve { _ = try await $0.read { _ in } } })
        for index in 0..<10 {
          let client = try await Connector.connect(
            to: listener.address, on: poller.loops[index % 2], deadline: nil)
          waits.append(Task { try await client.run { _ = try await $0.read { _ in } } })
        }
        try await Task.sleep(for: .milliseconds(20))
      }
      for wait in waits.dropFirst() {
        // Or it has seen the end of its peer, which was closed before it.
        do {
          try await wait.value
        } catch let error as ConnectionClosed {
          #expect([.deleted, .failed(.connectionReset)].contains(error.reason))
        }
      }
      try await waits[0].value
    }
  }
}

private actor Resident {
  nonisolated let loop: EventLoop

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  init(_ loop: EventLoop) { self.loop = loop }

  /// Does all that waits.
  func converse(with address: SocketAddress) async throws -> CloseReason {
    let connection = try await Connector.connect(to: address, deadline: nil)
    try await connection.expectEcho(of: "hello")
    connection.finishOutput()
    let end: Void? = try await connection.read { _ in }
    #expect(end == nil && loop.isCurrent)
    return try await connection.closed()
  }
}
