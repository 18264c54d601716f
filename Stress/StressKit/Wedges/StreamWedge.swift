import FDCoordination
import FDNet
import FDPoller

/// Half of the sessions are streams of one connection, where one more stream is sent to and never
/// read; the others are streams of several connections. A peer in a process of its own asks for
/// much and is stopped. The old shape is one lock that is held while something is sent.
final class StreamWedge: Wedge {
  static let name = "stream"
  static let summary = "a peer that sends and never reads, and a stream that nobody reads"

  private let stage: WedgeStage
  private let server: StreamServer
  private let address: SocketAddress
  private let shared: MultiplexedConnection
  private let others: [MultiplexedConnection]
  private let unread = Kept<[MultiplexedStream]>([])
  /// The streams of peers that have asked for much.
  private let thirsty = Kept<[MultiplexedStream]>([])
  private let child = Kept<WedgeChild?>(nil)

  private static let deaf = "a peer that sends and never reads"
  private static let sender = "a sender on a stream that nobody reads"

  init(_ stage: WedgeStage) async throws {
    self.stage = stage
    let (unread, thirsty) = (unread, thirsty)
    let settings = MultiplexedSettings(sendTimeout: stage.bound, heartbeat: nil)
    server = StreamServer(stage, settings) { opening, stream in
      guard opening == "pour" else { return unread.withLock { $0.append(stream) } }
      thirsty.withLock { $0.append(stream) }
      // The peer is ready when it has got that.
      try? await stream.send([0])
    }
    address = try server.listen(.loopback(port: 0))
    shared = try await server.connect(address, 0)
    var others: [MultiplexedConnection] = []
    for number in 0..<10 { others.append(try await server.connect(address, number)) }
    self.others = others
  }

  func visit(_ number: Int, _ pace: WedgePace) async throws {
    let end = number % 2 == 0 ? shared : others[number / 2 % others.count]
    try await server.visit(number, end, pace)
  }

  func drive() async throws {
    let pourer = try WedgeChild(.pourer(address, stage.parameters.io), on: stage)
    child.withLock { $0 = pourer }
    _ = try await pourer.ready()
    pourer.stop()
    stage.wedged.open(Self.deaf)
    for stream in thirsty.take() { pour(stream) }
    sendInVain()
  }

  private func pour(_ stream: MultiplexedStream) {
    Task(executorPreference: stage.nextServerLoop()) { [stage] in
      let block = [UInt8](repeating: 0, count: 64 << 10)
      do {
        while true { try await stage.guarded { try await stream.send(block) } }
      } catch {
        stage.wedged.close(Self.deaf, "\(error)")
      }
    }
  }

  private func sendInVain() {
    stage.wedged.open(Self.sender)
    Task(executorPreference: stage.clientLoop(0)) { [stage, shared] in
      let block = [UInt8](repeating: 0, count: 16 << 10)
      let taken = Kept(0)
      do {
        let stream = try shared.open(Array("unread".utf8))
        try await withDeadline(stage.bound) {
          while true {
            try await stream.send(block)
            taken.withLock { $0 += block.count }
          }
        }
      } catch {
        let kibibytes = taken.withLock { $0 >> 10 }
        stage.wedged.close(Self.sender, "\(error), after \(kibibytes) KiB")
      }
    }
  }

  func pull() async {
    let pourer = child.withLock { child in
      defer { child = nil }
      return child
    }
    pourer?.end()
    for stream in unread.take() { stream.reset() }
  }

  func end() async throws { server.end() }
}
