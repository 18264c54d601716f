import CShims
import Glibc
import TestKit
import Testing

@testable import FDNet
@testable import FDPoller

/// Moves of connections whose loop has a receive and a send in flight, and bytes at hand.
@Suite("Moving with bytes in flight", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ConnectionMoveFlightTests {
  /// An echo that moves on after every so many bytes.
  private func wanderer(_ poller: Poller, step: Int) -> Recorder {
    let recorder = Recorder.echo()
    let echo = recorder.onReceived
    let state = Guarded((bytes: 0, moveAt: step, loop: 0))
    recorder.onReceived = { [unowned poller] bytes, connection in
      echo(bytes, connection)
      let next = state.withLock { state -> Int? in
        state.bytes += bytes.byteCount
        guard state.bytes >= state.moveAt else { return nil }
        state.moveAt = state.bytes + step
        state.loop = (state.loop + 1) % poller.loops.count
        return state.loop
      }
      if let next { connection.move(to: poller.loops[next]) }
    }
    return recorder
  }

  // Fails if what the ring has brought, or has not sent, stays behind, or if two rings receive or
  // send at a time.
  @Test("what wanders over tiny rings under load keeps its bytes in order", arguments: [1, 4])
  func wandering(buffers: Int) async throws {
    try await withTestedPoller(threads: 4, groups: 2, rings: .tiny(buffers: buffers)) { poller in
      let settings = ConnectionSettings(highWatermark: 32 << 10, lowWatermark: 8 << 10)
      var all: [(recorder: Recorder, sender: Background<Void>, receiver: Background<Bool>)] = []
      for number in 0..<6 {
        let recorder = wanderer(poller, step: 1000 + number * 700)
        let link = try await Link(
          on: poller.loops[0], recorder, settings: settings, sendBuffer: 4096, receiveBuffer: 4096
        ) { _ = fdp_set_option($0.handle.fd, SOL_SOCKET, SO_RCVBUF, 16384) }
        let bytes = pattern(100_000, seed: UInt64(number))
        let sender = Background {
          try link.peer.send(bytes)
          link.peer.finish()
        }
        all.append((recorder, sender, Background { try link.peer.receiveToEnd() == bytes }))
      }
      for one in all {
        try await one.sender.value()
        #expect(try await one.receiver.value())
        #expect(await eventually { one.recorder.isClosed })
        #expect(one.recorder.log.closes == [.finished])
        #expect(one.recorder.log.moves.count >= 3)
      }
    }
  }

  // Fails if the new loop does not send what the former one has taken: nothing else happens.
  @Test("what was written before a move arrives after it", arguments: [1000, 60_000, 400_000])
  func output(size: Int) async throws {
    try await withTestedPoller(threads: 2) { poller in
      for isInFlight in [false, true] {
        let recorder = Recorder.keepingOpen()
        let link = try await Link(
          on: poller.loops[0], recorder, sendBuffer: 4096, receiveBuffer: 4096
        ) { $0.pauseReading() }
        let bytes = pattern(size)
        try await link.call { connection in
          connection.write(bytes)
          if !isInFlight { connection.move(to: poller.loops[1]) }
        }
        if isInFlight { try await link.call { $0.move(to: poller.loops[1]) } }
        #expect(try await Background { try link.peer.receive(exactly: size) == bytes }.value())
        #expect(await eventually { recorder.log.moves == [1] })
        try await link.call { $0.abort() }
      }
    }
  }

  // Fails if a connection that ends while it comes to rest is told twice or never, or leaves a
  // request or a stream behind.
  @Test("a move that meets a delete, an abort or a reset ends once", arguments: [false, true])
  func ends(isTiny: Bool) async throws {
    try await withTestedPoller(threads: 2, rings: isTiny ? .tiny() : RingSetup()) { poller in
      for round in 0..<60 {
        let recorder = Recorder.keepingOpen()
        recorder.onMoved = { [unowned poller] connection in
          let next = poller.loops[1 - connection.loop.index]
          // Who goes on at once never hears of a reset.
          if round % 8 != 7 { return connection.move(to: next) }
          connection.loop.schedule(after: .microseconds(1)) { connection.move(to: next) }
        }
        let link = try await Link(
          on: poller.loops[0], recorder, sendBuffer: 4096, receiveBuffer: 4096)
        let handle = link.connection.handle
        // Both directions are full.
        let isReset = Guarded(false)
        let flood = Background {
          let block = [UInt8](repeating: 2, count: 1000)
          while !isReset.value && (try? link.peer.flood(block, patience: 1)) != nil {}
          link.peer.reset()
        }
        let moves = Guarded<[MoveResult]>([])
        try await link.call { connection in
          #expect(connection.write([UInt8](repeating: 1, count: 300_000)) != .refused)
          // In flight from the next tick on.
          connection.loop.schedule(after: .microseconds(200)) {
            let loop = connection.loop
            connection.move(to: poller.loops[1]) { result in moves.withLock { $0.append(result) } }
            switch round % 4 {
            case 0: loop.delete(handle)
            case 1: loop.defer { loop.delete(handle) }
            case 2: connection.abort()
            default: break
            }
          }
        }
        if round % 4 == 3 {
          usleep(UInt32(round * 20))
          if round % 8 == 3 {
            poller.delete(handle)
          } else {
            isReset.value = true
          }
        }
        #expect(await eventually { recorder.isClosed && moves.value.count == 1 })
        #expect(recorder.log.closes.count == 1)
        try await flood.value()
      }
    }
  }

  // Fails if a connection that is at rest when its loop ends is forgotten.
  @Test("a stop that meets moves with bytes in flight tells every connection once")
  func stop() async throws {
    for round in 0..<8 {
      var recorders: [Recorder] = []
      var floods: [Background<Void>] = []
      let rings = round % 2 == 0 ? RingSetup.tiny() : RingSetup()
      try await withTestedPoller(threads: 3, rings: rings) { poller in
        for number in 0..<9 {
          let recorder = Recorder.keepingOpen()
          recorder.onMoved = { [unowned poller] connection in
            connection.move(to: poller.loops[(connection.loop.index + 1 + number % 2) % 3])
          }
          let link = try await Link(
            on: poller.loops[number % 3], recorder, sendBuffer: 4096, receiveBuffer: 4096
          ) {
            $0.write([UInt8](repeating: 1, count: 300_000))
            $0.move(to: poller.loops[(number + 1) % 3])
          }
          recorders.append(recorder)
          floods.append(
            Background {
              let block = [UInt8](repeating: 2, count: 1000)
              while (try? link.peer.send(block)) != nil {}
            })
        }
        #expect(await eventually { recorders.allSatisfy { $0.log.moves.count > round } })
      }
      for recorder in recorders { #expect(recorder.log.closes == [.deleted]) }
      for flood in floods { try await flood.value() }
    }
  }
}
