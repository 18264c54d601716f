import FDPoller
import TestKit
import Testing

@testable import FDCoordination

@Suite("MultiplexedStream: buffers and credit", .serialized, .everyBackend, .ledger)
struct MultiplexedStreamFlowTests {
  /// Fills a stream that nobody reads, until it takes no more.
  ///
  /// - Returns: how many messages it took.
  static func fill(_ stream: MultiplexedStream, _ message: [UInt8]) async throws -> Int {
    var count = 0
    while true {
      var isFull = true
      // What is on its way makes room once more.
      for _ in 0..<50 {
        guard try stream.trySend(message) else {
          try await Task.sleep(for: .milliseconds(2))
          continue
        }
        count += 1
        isFull = false
        break
      }
      if isFull { return count }
    }
  }

  static let small = MultiplexedSettings(window: 32 << 10, sendBuffer: 16 << 10)

  @Test(
    """
    2. send enqueues and returns; a bounded buffer per stream and direction; when full, an async \
    send waits (that stream only) or fails, as asked, never under a lock
    """)
  func fullBuffer() async throws {
    try await withTestedPoller { poller in
      try await withPair(on: poller, .both(Self.small)) { client, server in
        let (near, far) = try await openPair(client, server)
        let message = pattern(4 << 10)
        let taken = try await Self.fill(near, message)
        // The window, the buffer, and a message more.
        #expect(4...16 ~= taken)
        #expect(try near.trySend(message) == false)
        #expect(try near.trySend(message.span.bytes) == false)

        let hasSent = Tally()
        let waiting = Task {
          try await near.send(pattern(10, seed: 2))
          hasSent.add()
        }
        #expect(await always { hasSent.value == 0 })

        let (other, otherFar) = try await openPair(client, server)
        try await other.send([1, 2, 3])
        #expect(try await otherFar.receive() == [1, 2, 3])
        #expect(hasSent.value == 0)

        for _ in 0..<taken { #expect(try await far.receive() == message) }
        #expect(try await far.receive() == pattern(10, seed: 2))
        try await waiting.value
      }
    }
  }

  @Test("a send whose task is cancelled while it waits is not sent, and those behind it are")
  func cancelledSend() async throws {
    try await withTestedPoller { poller in
      try await withPair(on: poller, .both(Self.small)) { client, server in
        let (near, far) = try await openPair(client, server)
        let taken = try await Self.fill(near, pattern(4 << 10))
        let first = Task { try await near.send([1]) }
        #expect(await eventually { near.connection.core.perform { $0.waitingSenders } == 1 })
        let second = Task { try await near.send([2]) }
        #expect(await eventually { near.connection.core.perform { $0.waitingSenders } == 2 })
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        for _ in 0..<taken { _ = try await far.receive() }
        #expect(try await far.receive() == [2])
        try await second.value
        near.finish()
        #expect(try await far.receive() == nil)
      }
    }
  }

  @Test("a receive whose task is cancelled loses nothing")
  func cancelledReceive() async throws {
    try await withTestedPoller { poller in
      try await withPair(on: poller) { client, server in
        let (near, far) = try await openPair(client, server)
        let reading = Task { try await far.receive() }
        try await Task.sleep(for: .milliseconds(5))
        reading.cancel()
        await #expect(throws: CancellationError.self) { try await reading.value }
        try await near.send([7])
        #expect(try await far.receive() == [7])
        let accepting = Task { try await server.accept() }
        accepting.cancel()
        await #expect(throws: CancellationError.self) { try await accepting.value }
      }
    }
  }

  @Test(
    """
    3. Credit-based flow control per stream: a logical stream that nobody reads never blocks its \
    siblings (no head-of-line blocking), and memory stays bounded
    """, arguments: Transport.allCases)
  func unreadStream(transport: Transport) async throws {
    try await withTestedPoller { poller in
      try await withPair(transport, on: poller, .both(Self.small)) { client, server in
        let unread = try await openPair(client, server)
        _ = try await Self.fill(unread.0, pattern(4 << 10))

        let siblings = 8
        let messages = TestRun.isSanitized ? 20 : 100
        try await bounded {
          try await withThrowingTaskGroup(of: Void.self) { group in
            for sibling in 0..<siblings {
              let (near, far) = try await openPair(client, server)
              let message = pattern(20 << 10, seed: UInt64(sibling))
              group.addTask {
                for _ in 0..<messages { try await near.send(message) }
                near.finish()
              }
              group.addTask {
                var count = 0
                while let received = try await far.receive() {
                  if received != message { Issue.record("another message") }
                  count += 1
                }
                #expect(count == messages)
              }
            }
            try await group.waitForAll()
          }
        }
        let held = server.core.perform { $0.heldBytes }
        #expect(held <= Self.small.window)
        #expect(held >= Self.small.window / 2)
        #expect(try unread.0.trySend([0]) == false)
      }
    }
  }

  @Test("a thousand streams at once, one of them never read, while both ends move")
  func manyStreams() async throws {
    try await withTestedPoller(threads: 2) { poller in
      try await withPair(on: poller) { client, server in
        let unread = try await openPair(client, server)
        _ = try await Self.fill(unread.0, pattern(64 << 10))
        let streams = TestRun.isSanitized ? 200 : 1_000
        let echo = Task {
          for try await stream in server.streams {
            Task {
              while let part = try await stream.receivePart() { try await stream.send(part) }
              stream.finish()
            }
          }
        }
        try await bounded {
          try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<streams {
              group.addTask {
                let stream = try client.open()
                let message = pattern(5_000, seed: UInt64(number))
                for _ in 0..<3 {
                  try await stream.send(message)
                  var echoed: [UInt8] = []
                  while echoed.count < message.count, let part = try await stream.receivePart() {
                    echoed += part
                  }
                  if echoed != message { Issue.record("another message") }
                }
                // Of each ten one ends abruptly.
                if number % 10 == 0 { stream.reset(code: 1) } else { stream.finish() }
              }
              if number % 100 == 0 {
                client.move(to: poller.loops[number / 100 % 2])
                server.move(to: poller.loops[number / 200 % 2])
              }
            }
            try await group.waitForAll()
          }
        }
        #expect(await eventually { server.core.perform { $0.streams.count } == 1 })
        #expect(await eventually { client.core.perform { $0.streams.count } == 1 })
        client.close()
        _ = try? await echo.value
        withExtendedLifetime(unread) {}
      }
    }
  }

  @Test("of streams with a backlog each sends a frame in its turn")
  func fairness() async throws {
    var state = MultiplexedState(MultiplexedSettings(), isClient: true)
    state.received([.hello(window: 1 << 20, streams: 10)])
    let streams = try (0..<3).map { _ in try state.open([]) }
    for stream in streams {
      _ = state.send([UInt8](repeating: 0, count: 200 << 10), on: stream, waits: false)
    }
    state.ping = 1
    var frames: [Frame] = []
    #expect(!state.takeFrames(into: &frames, limit: 10 << 20))
    let order = frames.compactMap { frame in
      if case .data(let stream, _, _, _) = frame { stream } else { nil }
    }
    #expect(order == [1, 3, 5, 1, 3, 5, 1, 3, 5, 1, 3, 5])
    // What is urgent goes before it all.
    #expect(frames.firstIndex(of: .ping(1)) == 4)
  }

  @Test("a message may be larger than the window while somebody waits for it")
  func messageAboveWindow() async throws {
    try await withTestedPoller { poller in
      try await withPair(on: poller, .both(Self.small)) { client, server in
        let (near, far) = try await openPair(client, server)
        let message = pattern(1 << 20)
        try await near.send(message)
        // Nobody waits: no more than the window has come.
        #expect(
          await eventually { server.core.perform { $0.heldBytes } > Self.small.window / 2 })
        #expect(server.core.perform { $0.heldBytes } <= Self.small.window)
        let received = try await bounded { try await far.receive() }
        #expect(received == message)
      }
    }
  }

  @Test("a stream can be read as one of bytes, in the parts that come")
  func parts() async throws {
    try await withTestedPoller { poller in
      try await withPair(on: poller, .both(Self.small)) { client, server in
        let (near, far) = try await openPair(client, server)
        let bytes = pattern(1 << 20)
        let sending = Task {
          try await near.send(bytes.span.bytes)
          near.finish()
        }
        var received: [UInt8] = []
        while let part = try await far.receivePart() {
          #expect(part.count <= 64 << 10)
          received += part
        }
        try await sending.value
        #expect(received == bytes)
      }
    }
  }
}

extension MultiplexedState {
  /// How many bytes have come and not been read.
  var heldBytes: Int {
    streams.values.reduce(0) { $0 + $1.inbound.reduce(0) { $0 + $1.bytes.count } }
  }

  var waitingSenders: Int { streams.values.reduce(0) { $0 + $1.senders.count } }
}
