import FDNet
import FDPoller
import Glibc
import TestKit
import Testing

@testable import FDCoordination

@Suite("MultiplexedStream: bytes of every kind", .serialized)
struct MultiplexedStreamParserTests {
  static func randomFrame(_ random: inout SeededRandom) -> Frame {
    let stream = UInt32.random(in: 1...9, using: &random)
    let word = UInt32.random(in: .min ... .max, using: &random)
    let count = Bool.random(using: &random) ? Int.random(in: 0...20, using: &random) : 3_000
    switch Int.random(in: 0..<9, using: &random) {
    case 0: return .open(stream: stream, opening: pattern(min(count, 100)))
    case 1, 2: return .data(stream, pattern(count), endsMessage: Bool.random(using: &random))
    case 3: return .finish(stream: stream)
    case 4: return .stop(stream: stream)
    case 5: return .reset(stream: stream, code: word)
    case 6: return .credit(stream: stream, amount: word >> 12)
    case 7: return .ping(UInt64(word))
    default: return .pong(UInt64(word))
    }
  }

  @Test("frames come out the same however their bytes are split", arguments: 0..<20)
  func splits(seed: Int) throws {
    var random = SeededRandom(seed: UInt64(seed))
    let frames =
      [Frame.hello(window: 1, streams: 2)] + (0..<100).map { _ in Self.randomFrame(&random) }
    let bytes = frames.flatMap(\.bytes)
    var parser = FrameParser()
    var parsed: [Frame] = []
    var rest = bytes[...]
    let most = [1, 7, 9, 100, 10_000][seed % 5]
    while !rest.isEmpty {
      let count = min(rest.count, Int.random(in: 1...most, using: &random))
      try parser.parse(Array(rest.prefix(count)).span.bytes, into: &parsed)
      rest = rest.dropFirst(count)
    }
    #expect(parsed == frames)
  }

  @Test("random bytes are refused or understood, and no more memory is taken than a frame's")
  func randomBytes() {
    var random = SeededRandom(seed: 11)
    var refusals = 0
    for _ in 0..<(TestRun.isSanitized ? 300 : 3_000) {
      var parser = FrameParser()
      var frames: [Frame] = []
      // Half of them begin well, and half of what follows is nearly right.
      var bytes = Bool.random(using: &random) ? Frame.hello(window: 1, streams: 1).bytes : []
      for _ in 0..<5 { bytes += Self.randomFrame(&random).bytes.prefix(40) }
      for _ in 0..<Int.random(in: 0..<20, using: &random) {
        bytes[Int.random(in: bytes.indices, using: &random)] =
          UInt8.random(in: .min ... .max, using: &random)
      }
      do {
        try parser.parse(bytes.span.bytes, into: &frames)
      } catch {
        refusals += 1
      }
      #expect(frames.allSatisfy { $0.encodedCount <= bytes.count })
    }
    #expect(refusals > 0)
  }

  @Test(
    "a state that is fed frames in any order and used meanwhile keeps its books", arguments: 0..<20)
  func randomFrames(seed: Int) {
    var random = SeededRandom(seed: UInt64(seed))
    let settings = MultiplexedSettings(
      largestMessage: 5_000, window: 8 << 10, sendBuffer: 4 << 10, peerStreams: 4, backlog: 2)
    for _ in 0..<(TestRun.isSanitized ? 10 : 60) {
      var state = MultiplexedState(settings, isClient: false)
      state.received([.hello(window: 8 << 10, streams: 4)])
      var batch: [Frame] = []
      var mine: [UInt32] = []
      for _ in 0..<100 {
        switch Int.random(in: 0..<8, using: &random) {
        case 0: if let stream = try? state.open([]) { mine.append(stream) }
        case 1: if let next = state.accept() { mine.append(next.stream) }
        case 2:
          if let stream = mine.randomElement(using: &random) {
            _ = state.send(pattern(2_000), on: stream, waits: false)
          }
        case 3:
          if let stream = mine.randomElement(using: &random) {
            _ = state.streams.index(forKey: stream).map {
              state.streams.values[$0].look(wholeMessage: Bool.random(using: &random))
            }
          }
        case 4:
          if let stream = mine.randomElement(using: &random) {
            switch Int.random(in: 0..<3, using: &random) {
            case 0: state.finish(stream)
            case 1: state.stopListening(stream)
            default: state.release(stream)
            }
          }
        default:
          state.received([Self.randomFrame(&random)])
        }
        batch.removeAll()
        _ = state.takeFrames(into: &batch, limit: 10_000)
        _ = state.takeEffects()
        #expect(state.heldBytes <= 8 * settings.window)
        for record in state.streams.values {
          #expect(record.credit >= 0 && record.granted >= 0 && record.outboundCost >= 0)
          #expect(record.wholeMessages == record.inbound.count { $0.endsMessage })
          let cost = record.outbound.reduce(0) { $0 + $1.bytes.count - $1.sent + Frame.overhead }
          #expect(record.outboundCost == cost)
        }
      }
    }
  }

  @Test(
    "a connection outlives nothing that a hostile peer sends, and the process does", .everyBackend)
  func hostilePeers() async throws {
    try await withTestedPoller { poller in
      var random = SeededRandom(seed: 23)
      for _ in 0..<(TestRun.isSanitized ? 10 : 40) {
        var bytes = Frame.hello(window: 1 << 10, streams: 9).bytes
        for _ in 0..<30 { bytes += Self.randomFrame(&random).bytes }
        bytes[Int.random(in: bytes.indices, using: &random)] ^= 0x40
        let attack = bytes
        try await withRawPeer(on: poller, MultiplexedSettings(peerStreams: 8)) { server, peer in
          let echo = Task {
            for try await stream in server.streams {
              Task {
                while let message = try await stream.receive() { try await stream.send(message) }
              }
            }
          }
          try? peer.send(attack)
          shutdown(peer.fd, Int32(SHUT_WR))
          _ = try await bounded { try await server.ended() }
          _ = try? await echo.value
        }
      }
    }
  }
}
