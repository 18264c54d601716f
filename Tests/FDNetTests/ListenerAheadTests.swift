import CShims
import Glibc
import TestKit
import Testing

@testable import FDNet
@testable import FDPoller

/// Listeners whose clients a loop accepts before it has the time for them, and such that do not.
@Suite("Clients taken ahead", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ListenerAheadTests {
  /// A backlog with which the listener takes ahead, or does not.
  private func backlog(on poller: Poller, ahead: Bool) -> Int {
    ahead ? 512 : poller.core.descriptorLimit
  }

  private func ping(_ peer: Peer) throws -> Bool {
    try peer.send("ping")
    return try peer.receiveText(4) == "ping"
  }

  // Fails if clients that have come together are forgotten after the first few.
  @Test("five hundred who come at once are served, each once", arguments: [true, false])
  func burst(ahead: Bool) async throws {
    try await withTestedPoller(threads: 2) { poller in
      let server = Server()
      let listener = try Listener(
        .loopback(port: 0), on: poller, backlog: backlog(on: poller, ahead: ahead),
        makeHandler: server.makeHandler)
      var held: [Held] = []
      for loop in poller.loops { held.append(try await Held(loop)) }
      let peers = try (0..<500).map { _ in try Peer(to: listener.address) }
      for loop in held { loop.letGo() }
      for peer in peers { #expect(try ping(peer)) }
      #expect(server.count == 500)
      #expect(listener.statistics == Listener.Statistics(accepted: 500))
      for peer in peers { peer.close() }
      listener.close()
    }
  }

  // Fails if an accept that ends early, because the ring is full, is not made again.
  @Test("a ring with no room for clients gets them all the same")
  func tiny() async throws {
    try await withTestedPoller(threads: 1, rings: .tiny()) { poller in
      let server = Server()
      let listener = try Listener(
        .loopback(port: 0), on: poller, backlog: 512, makeHandler: server.makeHandler)
      let held = try await Held(poller.loops[0])
      let peers = try (0..<100).map { _ in try Peer(to: listener.address) }
      held.letGo()
      for peer in peers { #expect(try ping(peer)) }
      #expect(server.count == 100)
      if TestedBackend.name == "io_uring" {
        #expect(poller.loops[0].counters[.ringOverflows] > 0)
      }
      for peer in peers { peer.close() }
      listener.close()
    }
  }

  // Fails if the close drops whom the ring has accepted, or does not ask for who is queued behind
  // them.
  @Test("a close serves who has come, and nobody after", arguments: [true, false], [true, false])
  func close(ahead: Bool, isTiny: Bool) async throws {
    try await withTestedPoller(threads: 1, rings: isTiny ? .tiny() : RingSetup()) { poller in
      for round in 0..<4 {
        let server = Server()
        let listener = try Listener(
          .loopback(port: 0), on: poller, backlog: backlog(on: poller, ahead: ahead),
          makeHandler: server.makeHandler)
        let held = try await Held(poller.loops[0])
        let peers = try (0..<100).map { _ in try Peer(to: listener.address) }
        if round % 2 == 0 { listener.close() }
        held.letGo()
        if round % 2 == 1 { listener.close() }
        for peer in peers { #expect(try ping(peer)) }
        #expect(await eventually { (try? Peer(to: listener.address)) == nil })
        for peer in peers { peer.close() }
        #expect(await eventually { server.areAllClosed })
        #expect(server.count == 100)
      }
    }
  }

  // Fails if whoever was accepted and not yet served stays open when the poller stops.
  // The second ring has accepted most of them without having told so.
  @Test("a stop turns away whom the loop has accepted and not served", arguments: [256, 8])
  func stop(perWait: Int) async throws {
    var peers: [Peer] = []
    let gate = Gate()
    var opener: Background<Void>?
    let rings = RingSetup(completionsPerWait: perWait)
    try await withTestedPoller(threads: 1, rings: rings) { poller in
      let listener = try Listener(.loopback(port: 0), on: poller, backlog: 512) { _ in
        gate.wait()
        return Recorder()
      }
      let held = try await Held(poller.loops[0])
      peers = try (0..<200).map { _ in try Peer(to: listener.address) }
      held.letGo()
      #expect(await eventually { gate.holdsSomebody })
      opener = Background { [core = poller.core] in
        while !core.isStopping { usleep(1000) }
        gate.open()
      }
    }
    try await opener?.value()
    for peer in peers { #expect(try peer.receiveUntilOver().isEmpty) }
  }

  // Fails if a client gets lost between the accept that ends and the poll that begins, or the other
  // way round.
  @Test("a listener takes ahead only while there are numbers enough, and changes over at any time")
  func changesOver() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let loop = poller.loops[0]
      let server = Server()
      // With thirty descriptors it is at the limit.
      let listener = try Listener(
        .loopback(port: 0), on: poller, backlog: poller.core.descriptorLimit / 2 - 30,
        makeHandler: server.makeHandler)
      var served = 0
      for round in 0..<10 {
        #expect(try await takesAhead(loop) != false)
        let held = round % 2 == 0 ? try await Held(loop) : nil
        let peers = try (0..<80).map { _ in try Peer(to: listener.address) }
        held?.letGo()
        for peer in peers { #expect(try ping(peer)) }
        served += peers.count
        #expect(server.count == served)
        #expect(try await takesAhead(loop) != true)
        for peer in peers { peer.close() }
        #expect(await eventually { poller.snapshot().liveDescriptors == 1 })
        // It looks at every client.
        for _ in 0..<3 { #expect(try ping(try Peer(to: listener.address))) }
        served += 3
        #expect(await eventually { poller.snapshot().liveDescriptors == 1 })
      }
      listener.close()
    }
  }

  // In a process of its own, which runs out of descriptors that its poller does not know of. Fails if
  // an accept that ends for that reason drops whom it had accepted, or is not made again.
  @Test("a ring that finds no number for a client pauses, and goes on by itself", .ioUringOnly)
  func noNumbers() async {
    await #expect(processExitsWith: .success) {
      var limit = rlimit()
      getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      try await TestedBackend.$name.withValue("io_uring") {
        try await withTestedPoller(threads: 1) { poller in
          let sockets = (0..<30).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
          // The runtime's clocks have theirs from here on.
          for pause in [1, 1000, 100_000] { try await Task.sleep(for: .microseconds(pause)) }
          let lowest = dup(0)
          Glibc.close(lowest)
          try #require(lowest > sockets.max() ?? 0)
          var fewer = rlimit(rlim_cur: rlim_t(lowest) + 12, rlim_max: limit.rlim_max)
          setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &fewer)
          // An accept keeps the limit that it began with.
          let server = Server()
          let listener = try Listener(
            .loopback(port: 0), on: poller, backlog: 64, makeHandler: server.makeHandler)
          for fd in sockets {
            let result = listener.address.withSockAddr {
              connect(fd, $0.assumingMemoryBound(to: sockaddr.self), $1)
            }
            try #require(result == 0)
          }
          let peers = sockets.map { Peer($0) }
          #expect(await eventually { listener.statistics.pauses > 1 })
          let before = listener.statistics
          #expect(server.count == before.accepted && 1...10 ~= before.accepted)
          #expect(1...before.pauses ~= before.turnedAway)

          setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
          #expect(
            await eventually {
              listener.statistics.accepted + listener.statistics.turnedAway == peers.count
            })
          var served = 0
          for peer in peers where (try? peer.send("ping")) != nil {
            if (try? peer.receiveText(4)) == "ping" { served += 1 }
          }
          #expect(served == listener.statistics.accepted && served > before.accepted)
          listener.close()
        }
      }
    }
  }

  /// Whether the loop's listener has an accept in flight, and not a poll; nil if its backend cannot.
  private func takesAhead(_ loop: EventLoop) async throws -> Bool? {
    for _ in 0..<3 { try await loop.call {} }
    return try await loop.call {
      guard let uring = loop.backend.uring else { return nil as Bool? }
      for fd in 0..<Int32(4096) {
        let registration = uring.registrations.pointer(to: fd).pointee
        guard let stream = registration.stream?.takeUnretainedValue(), stream.listens
        else { continue }
        #expect((stream.receive == .none) == (registration.poll != .none))
        return stream.receive != .none
      }
      return nil
    }
  }
}
