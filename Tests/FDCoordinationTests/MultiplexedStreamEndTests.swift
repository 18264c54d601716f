import FDNet
import FDPoller
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDCoordination

@Suite("MultiplexedStream: its end", .serialized, .everyBackend, .ledger)
struct MultiplexedStreamEndTests {
  @Test(
    """
    4. One physical write that makes no progress for the send timeout ends the connection with an \
    error that says so, and unblocks every waiter
    """, arguments: Transport.allCases)
  func sendTimeout(transport: Transport) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let settings = MultiplexedSettings(sendTimeout: .milliseconds(10))
      try await withRawPeer(transport, on: poller, settings, socketBuffer: 4 << 10) {
        server, peer in
        // All the credit there is, and then nothing is read.
        try peer.greet(window: 1 << 30)
        let stuck = try server.open()
        let waiters = Task {
          do {
            while true { try await stuck.send(pattern(64 << 10)) }
          } catch let error as MultiplexedError {
            return error
          }
        }
        let reader = Task { try await stuck.receive() }
        let acceptor = Task { try await server.accept() }
        let expected = MultiplexedError.sendTimedOut(.milliseconds(10))
        #expect(try await bounded { try await server.ended() } == expected)
        #expect(try await bounded { try await waiters.value } == expected)
        await #expect(throws: expected) { try await bounded { try await reader.value } }
        await #expect(throws: expected) { try await bounded { try await acceptor.value } }
        #expect("\(expected)".contains("took nothing of a write for"))
        #expect(MultiplexedSettings().sendTimeout == .seconds(60))
      }
    }
  }

  enum Ending: CaseIterable, Sendable {
    case end
    case reset
    case goodbye
  }

  @Test(
    """
    5. Receive error or end of file ends all streams; the first error wins, once, and nobody has \
    to be listening for it
    """, arguments: Ending.allCases)
  func endOfInput(ending: Ending) async throws {
    try await withTestedPoller { poller in
      try await withRawPeer(on: poller, MultiplexedSettings(sendBuffer: 1 << 10)) { server, peer in
        try peer.greet(window: 1 << 10)
        let waiters = try await Waiters(server, unread: try server.open())
        let expected: MultiplexedError
        switch ending {
        case .end:
          shutdown(peer.fd, Int32(SHUT_WR))
          expected = .endOfInput
        case .reset:
          var linger = linger(l_onoff: 1, l_linger: 0)
          setsockopt(
            peer.fd, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
          // The descriptor stays the peer's, for its deinit.
          let null = open("/dev/null", O_RDONLY)
          dup2(null, peer.fd)
          Glibc.close(null)
          expected = .failed(.connectionReset)
        case .goodbye:
          try peer.send(.goodbye)
          expected = .closedByPeer
        }
        let errors = try await waiters.errors
        #expect(errors == [expected, expected, ending == .goodbye ? nil : expected, expected])
        // What comes later changes nothing, and whoever comes later learns the first.
        server.close()
        #expect(server.error == expected)
        #expect(throws: expected) { try server.open() }
      }
      // Nobody listens at all.
      try await withRawPeer(on: poller) { server, peer in
        try peer.greet()
        shutdown(peer.fd, Int32(SHUT_WR))
        #expect(await eventually { server.error == .endOfInput })
      }
    }
  }

  @Test("what has come before the end is received first")
  func bytesBeforeTheEnd() async throws {
    try await withTestedPoller { poller in
      try await withRawPeer(on: poller) { server, peer in
        try peer.greet()
        try peer.send(
          .open(stream: 1, opening: [9]), .data(1, [1]), .data(1, [2]), .finish(stream: 1),
          .open(stream: 3, opening: []), .data(3, [3]), .goodbye)
        #expect(await eventually { server.error == .closedByPeer })
        let first = try #require(try await server.accept())
        #expect(first.opening == [9])
        #expect(try await first.receive() == [1])
        #expect(try await first.receive() == [2])
        #expect(try await first.receive() == nil)
        #expect(try await first.receive() == nil)
        let second = try #require(try await server.accept())
        #expect(try await second.receive() == [3])
        await #expect(throws: MultiplexedError.closedByPeer) { try await second.receive() }
        #expect(try await server.accept() == nil)
      }
    }
  }

  @Test(
    """
    6. close() returns at once even with full buffers and a stuck peer; a message is at most 10 \
    MiB by default, larger is a clear error; malformed frames end the connection, never the process
    """)
  func closing() async throws {
    try await withTestedPoller { poller in
      let connection = ConnectionSettings(drainDeadline: .milliseconds(50))
      try await withRawPeer(on: poller, socketBuffer: 4 << 10, connection: connection) {
        server, peer in
        try peer.greet(window: 1 << 30)
        let waiters = try await Waiters(server, unread: try server.open())
        // The loop itself stands still, and close does not mind.
        let held = Gate()
        for loop in poller.loops { loop.run { held.wait() } }
        server.close()
        #expect(server.error == .closed)
        let errors = try await waiters.errors
        #expect(errors == [.closed, .closed, nil, .closed])
        server.close()
        held.open()
      }
      try await withPair(on: poller) { client, server in
        let (near, far) = try await openPair(client, server)
        let tooLarge = [UInt8](repeating: 0, count: (10 << 20) + 1)
        let expected = MultiplexedError.messageTooLarge(count: (10 << 20) + 1, limit: 10 << 20)
        await #expect(throws: expected) { try await near.send(tooLarge) }
        #expect(throws: expected) { try near.trySend(tooLarge) }
        #expect(
          "\(expected)" == "a message of 10485761 bytes is larger than the limit of 10485760")
        let largest = pattern(10 << 20)
        try await near.send(largest)
        #expect(try await far.receive() == largest)
      }
    }
    try await malformedFrames()
  }

  private func malformedFrames() async throws {
    let opened = [Frame.open(stream: 1, opening: [])]
    let cases: [([Frame], [UInt8], FrameError)] = [
      (opened, [99, 0, 0, 0, 0, 0, 0, 1], .unknownType(99)),
      (opened, [3, 2, 0, 0, 0, 0, 0, 1], .unknownFlags(2)),
      (opened, [7, 0, 0, 3, 0, 0, 0, 1], .wrongLength(type: 7, length: 3)),
      (opened, Frame.data(7, [1]).bytes, .wrongStream(7)),
      (opened, Frame.data(2, [1]).bytes, .wrongStream(2)),
      (opened, Frame.data(0, [1]).bytes, .wrongStream(0)),
      (opened, Frame.open(stream: 1, opening: []).bytes, .wrongStream(1)),
      (opened, Frame.open(stream: 4, opening: []).bytes, .wrongStream(4)),
      (opened, Frame.hello(window: 1, streams: 1).bytes, .outOfOrder),
      (opened + [.finish(stream: 1)], Frame.data(1, [1]).bytes, .dataAfterEnd(1)),
      (
        opened + [.data(1, [1], endsMessage: false)], Frame.finish(stream: 1).bytes,
        .unfinishedMessage(1)
      ),
      (opened, Frame.credit(stream: 1, amount: .max).bytes, .tooMuchCredit(1)),
      (opened, Frame.data(1, pattern(2 << 10)).bytes, .creditExceeded(1)),
    ]
    try await withTestedPoller { poller in
      for (frames, bytes, error) in cases {
        try await withRawPeer(on: poller, MultiplexedSettings(window: 1 << 10)) { server, peer in
          try peer.greet()
          for frame in frames { try peer.send(frame) }
          try peer.send(bytes)
          #expect(try await bounded { try await server.ended() } == .malformed(error))
          #expect(try peer.next { _ in false } == nil)
        }
      }
      try await withRawPeer(on: poller) { server, peer in
        try peer.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
        #expect(try await server.ended() == .malformed(.notThisProtocol))
      }
    }
  }

  @Test("a message of the peer above the limit ends its stream and no other")
  func peerMessageTooLarge() async throws {
    try await withTestedPoller { poller in
      let settings = PairSettings(
        client: MultiplexedSettings(), server: MultiplexedSettings(largestMessage: 1_000))
      try await withPair(on: poller, settings) { client, server in
        let (near, far) = try await openPair(client, server)
        let (other, otherFar) = try await openPair(client, server)
        try await near.send(pattern(1_001))
        await #expect(throws: MultiplexedError.messageTooLarge(count: 1_001, limit: 1_000)) {
          try await far.receive()
        }
        await #expect(throws: MultiplexedError.resetByPeer(code: .max - 1)) {
          try await near.receive()
        }
        try await other.send(pattern(1_000))
        #expect(try await otherFar.receive() == pattern(1_000))
      }
    }
  }

  @Test("a connection is closed when nobody uses it and its streams any more")
  func abandoned() async throws {
    try await withTestedPoller { poller in
      try await withRawPeer(on: poller) { server, peer in
        try peer.greet()
        do {
          let client = try await MultiplexedConnection.connect(
            to: try #require(server.core.connection.localAddress), on: poller.loops[0])
          _ = client
        }
        #expect(server.error == nil)
      }
    }
  }
}
