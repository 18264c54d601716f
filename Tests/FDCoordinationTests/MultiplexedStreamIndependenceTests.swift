import FDPoller
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDCoordination

@Suite(
  "MultiplexedStream: sending and receiving", .serialized, .everyBackend, .ledger)
struct MultiplexedStreamIndependenceTests {
  static let messages = TestRun.isSanitized ? 1_000 : 10_000
  /// As large as the sockets' buffers are asked to be.
  static let messageCount = 8 << 10

  @Test(
    """
    1. Sending and receiving are independent: no code path sends and then waits to receive. Both \
    peers bursting with full socket buffers in both directions never deadlock
    """, arguments: Transport.allCases)
  func bursts(transport: Transport) async throws {
    try await withTestedPoller { poller in
      let limits = MultiplexedSettings(window: 64 << 10, sendBuffer: 64 << 10)
      var settings = PairSettings.both(limits)
      settings.socketBuffer = 8 << 10
      try await withPair(transport, on: poller, settings) { client, server in
        let (near, far) = try await openPair(client, server)
        try await bounded {
          try await withThrowingTaskGroup(of: Void.self) { group in
            for end in [near, far] {
              group.addTask { try await Self.burst(on: end) }
            }
            // Neither reads before both are stuck in the midst of their burst.
            #expect(await eventually { Self.isStuck(near) && Self.isStuck(far) })
            for end in [near, far] {
              group.addTask { try await Self.readBurst(on: end) }
            }
            try await group.waitForAll()
          }
        }
      }
    }
  }

  private static func burst(on stream: MultiplexedStream) async throws {
    var message = pattern(messageCount)
    for number in 0..<messages {
      message[0] = UInt8(truncatingIfNeeded: number)
      try await stream.send(message)
    }
    stream.finish()
  }

  private static func readBurst(on stream: MultiplexedStream) async throws {
    var expected = pattern(messageCount)
    var number = 0
    while let message = try await stream.receive() {
      expected[0] = UInt8(truncatingIfNeeded: number)
      // By the C library: element by element takes most of the time of a debug build.
      if message.count != messageCount || memcmp(message, expected, messageCount) != 0 {
        Issue.record("message \(number) is another one")
        break
      }
      number += 1
    }
    #expect(number == messages)
  }

  private static func isStuck(_ stream: MultiplexedStream) -> Bool {
    stream.connection.core.perform { $0.waitingSenders } == 1
  }

  @Test("the original incident: two peers that send and then receive deadlock", .epollOnly)
  func sendThenReceive() async throws {
    let pair = SocketPair.tcp()
    let outcomes = Guarded<[Int: Bool]>([:])
    for end in [pair.near, pair.far] {
      let flags = fcntl(end.rawValue, F_GETFL)
      _ = fcntl(end.rawValue, F_SETFL, flags & ~O_NONBLOCK)
      var size: Int32 = 4 << 10
      let length = socklen_t(MemoryLayout<Int32>.size)
      setsockopt(end.rawValue, SOL_SOCKET, SO_SNDBUF, &size, length)
      setsockopt(end.rawValue, SOL_SOCKET, SO_RCVBUF, &size, length)
      // What would be for ever is a failure after so long without a byte.
      var limit = timeval(tv_sec: 0, tv_usec: 300_000)
      setsockopt(
        end.rawValue, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
    await Crew.run(2) { number in
      let fd = [pair.near, pair.far][number].rawValue
      let stuck = SendThenReceive(fd: fd).exchange(
        messages: 10_000, of: [UInt8](repeating: 1, count: Self.messageCount))
      outcomes.withLock { $0[number] = stuck }
    }
    pair.near.closeForGood()
    pair.far.closeForGood()
    #expect(outcomes.value == [0: true, 1: true])
  }
}

/// The incident: a peer that sends its messages and only then looks at what the other one says.
private struct SendThenReceive {
  let fd: Int32

  /// - Returns: whether it got stuck in a send.
  func exchange(messages: Int, of message: [UInt8]) -> Bool {
    for _ in 0..<messages {
      var sent = 0
      while sent < message.count {
        let count = message[sent...].withUnsafeBytes {
          send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        if count < 0 { return errno == EAGAIN }
        sent += count
      }
    }
    var rest = messages * message.count
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while rest > 0 {
      let count = recv(fd, &buffer, buffer.count, 0)
      guard count > 0 else { return false }
      rest -= count
    }
    return false
  }
}
