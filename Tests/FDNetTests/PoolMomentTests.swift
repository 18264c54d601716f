import CShims
import Glibc
import TestKit
import Testing

@testable import FDNet
@testable import FDPoller

/// What happens to a pooled connection at the moment in which it goes to its pool or to somebody
/// else.
@Suite("Moments of pooled connections", .serialized, .everyBackend, .ledger, .connectionLedger)
struct PoolMomentTests {
  /// What the ring of a loop has of a connection: nothing, or it has no ring.
  private func isAtRest(_ handle: FDHandle, on loop: EventLoop) -> Bool {
    guard let uring = loop.backend.uring else { return true }
    let stream = uring.registrations.pointer(to: handle.fd).pointee.stream?.takeUnretainedValue()
    return stream?.inFlight == 0 && stream?.queuedOutput == 0
  }

  // Fails if a connection is parked with bytes to be sent, which the next owner's would overtake.
  @Test("a connection may rest right after a write, and the bytes go first", arguments: [0, 1])
  func checkInAfterWrite(user: Int) async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(on: poller, limits: keepingLimits())
      let (loop, next) = (poller.loops[0], poller.loops[user])
      let connection = try await pool.checkOut(origin.address, on: loop)
      let peer = Peer(try origin.accept())
      for round in 0..<100 {
        let bytes = pattern(1 + round * 300)
        let gate = Gate()
        loop.run {
          #expect(connection.write(bytes) == .sent)
          #expect(pool.checkIn(connection))
          #expect(user == 1 || self.isAtRest(connection.handle, on: loop))
          // Another loop may have it before this one's tick ends.
          if user == 1 { gate.wait() }
        }
        if user == 1 { #expect(await eventually { gate.holdsSomebody }) }
        let isDone = try await next.call {
          guard let taken = pool.takeIdle(origin.address, on: next) else { return false }
          taken.setHandler(Recorder.keepingOpen())
          return taken === connection && taken.write("next") == .sent
        }
        gate.open()
        try #require(isDone)
        #expect(try peer.receive(exactly: bytes.count) == bytes)
        #expect(try peer.receiveText(4) == "next")
        // Back to the first one.
        try await next.call { #expect(pool.checkIn(connection)) }
        try #require(try await pool.takeIdle(origin.address, on: loop) === connection)
      }
      try await loop.call { connection.abort() }
    }
  }

  // Fails if it is kept although the kernel has a send of it, or its bytes are lost.
  @Test(
    "a connection whose output cannot be sent is not kept, and sends it", arguments: [true, false])
  func checkInWithOutput(isInFlight: Bool) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let origin = try RawListener(.loopback(port: 0))
      _ = fdp_set_option(origin.fd, SOL_SOCKET, SO_RCVBUF, 4096)
      let pool = ConnectionPool(on: poller, limits: keepingLimits())
      let loop = poller.loops[0]
      let connection = try await pool.checkOut(origin.address, on: loop)
      let peer = Peer(try origin.accept())
      _ = fdp_set_option(connection.handle.fd, SOL_SOCKET, SO_SNDBUF, 4096)
      // More than the kernel takes, and as much as the loop does.
      let bytes = pattern(60_000)
      try await loop.call {
        connection.write(bytes)
        if !isInFlight { #expect(pool.checkIn(connection) == false) }
      }
      try await loop.call {
        if isInFlight { #expect(pool.checkIn(connection) == false) }
        #expect(connection.isClosing)
      }
      #expect(pool.statistics.kept == 0)
      #expect(try await Background { try peer.receiveToEnd() == bytes }.value())
      peer.close()
      #expect(await eventually { poller.snapshot().liveDescriptors == 0 })
    }
  }

  /// Passes one connection from loop to loop through the pool, as fast as it goes.
  private final class Relay: @unchecked Sendable {
    let pool: ConnectionPool
    let address: SocketAddress
    let received = Guarded<[UInt8]>([])
    let hops = Tally()
    let ends = Tally()
    let isOver = Guarded(false)

    init(_ pool: ConnectionPool, to address: SocketAddress) {
      (self.pool, self.address) = (pool, address)
    }

    /// Takes the connection when it is idle, and gives it back: at once, later in the tick, or when
    /// it has received something.
    func run(on loop: EventLoop) {
      guard !isOver.value else { return }
      if let connection = pool.takeIdle(address, on: loop) {
        let turn = hops.add()
        let recorder = Recorder.keepingOpen()
        recorder.onReceived = { [self] bytes, _ in
          bytes.withUnsafeBytes { bytes in received.withLock { $0.append(contentsOf: bytes) } }
        }
        recorder.onInputEnded = { [self] connection in
          ends.add()
          isOver.value = true
          connection.close()
        }
        connection.setHandler(recorder)
        switch turn % 8 {
        case 0..<4: giveBack(connection)
        case 4..<7: loop.defer { self.giveBack(connection) }
        default: loop.schedule(after: .microseconds(100)) { self.giveBack(connection) }
        }
      }
      loop.run { self.run(on: loop) }
    }

    private func giveBack(_ connection: Connection) {
      if !connection.isClosing { #expect(pool.checkIn(connection)) }
    }
  }

  // Fails if a byte or an end that comes when a connection changes hands reaches its former loop, or
  // nobody.
  @Test("bytes and the end reach whoever has the connection, at whatever moment they come")
  func changingHands() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      var (hops, taken) = (0, 0)
      // On a busy machine one loop may have the connection for itself for long.
      for round in 0..<40 where round < 4 || hops <= 100 || taken <= 10 {
        let pool = ConnectionPool(
          on: poller, limits: keepingLimits { $0.keepsUnsolicitedBytes = true })
        _ = try await pool.fill(1, to: origin.address, on: poller.loops[0])
        let peer = Peer(try origin.accept())
        let relay = Relay(pool, to: origin.address)
        for loop in poller.loops { loop.run { relay.run(on: loop) } }
        let bytes = pattern(1500, seed: UInt64(round))
        try await Background {
          for (number, byte) in bytes.enumerated() {
            try peer.send([byte])
            if number % 3 == 0 { usleep(UInt32(number % 130)) }
          }
          for _ in 0..<200_000 where relay.received.withLock({ $0.count }) < bytes.count {
            usleep(100)
          }
          usleep(UInt32(round % 4 * 50))
          peer.close()
        }.value()
        #expect(relay.received.value == bytes)
        (hops, taken) = (hops + relay.hops.value, taken + pool.statistics.takenOver)
        // The end may come to an idle one, which ends without a user.
        #expect(await eventually { poller.snapshot().liveDescriptors == 0 })
        relay.isOver.value = true
        #expect(relay.ends.value <= 1 && pool.statistics.isBalanced)
        #expect(relay.ends.value == 1 || pool.statistics.stale == 1)
      }
      #expect(hops > 100 && taken > 10)
    }
  }
}
