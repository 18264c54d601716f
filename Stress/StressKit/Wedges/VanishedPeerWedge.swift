import FDCoordination
import FDNet
import FDPoller

/// The server asks an agent in a process of its own again and again, and the agent vanishes without
/// a word: it is stopped, or its network loses everything. Only a heartbeat tells, and the old shape
/// has none.
final class VanishedPeerWedge: Wedge {
  static let name = "heartbeat"
  static let summary = "an agent that vanishes without a word, with a question on its way"

  private let stage: WedgeStage
  private let server: StreamServer
  private let addresses: [SocketAddress]
  private let connections: [MultiplexedConnection]
  private let children = Kept<[WedgeChild]>([])

  private static let stopped = "an agent that is stopped"
  private static let cutOff = "an agent that loses its network"

  init(_ stage: WedgeStage) async throws {
    self.stage = stage
    // A vanished peer is noticed after the interval and two timeouts.
    let third = stage.bound / 3
    let heartbeat = HeartbeatSettings(interval: third, timeout: third)
    let settings = MultiplexedSettings(
      sendTimeout: .seconds(3600),
      heartbeat: stage.parameters.shape == .primitive ? heartbeat : nil)
    let server = StreamServer(stage, settings) { opening, stream in
      do {
        while true {
          try await stream.send([1])
          _ = try await stream.receive()
          try await Task.sleep(for: .milliseconds(5))
        }
      } catch {
        stage.wedged.close(String(opening.dropFirst("agent ".count)), "\(error)")
      }
    }
    self.server = server
    addresses = try ([.loopback(port: 0)] + (stage.network.map { [$0.address] } ?? []))
      .map(server.listen)
    var connections: [MultiplexedConnection] = []
    for number in 0..<20 { connections.append(try await server.connect(addresses[0], number)) }
    self.connections = connections
  }

  func visit(_ number: Int, _ pace: WedgePace) async throws {
    try await server.visit(number, connections[number % connections.count], pace)
  }

  func drive() async throws {
    try await beAgent(Self.stopped, addresses[0]).stop()
    stage.wedged.open(Self.stopped)
    guard let network = stage.network else { return }
    _ = try await beAgent(Self.cutOff, addresses[1], prefix: network.inside)
    try await network.cut()
    stage.wedged.open(Self.cutOff)
  }

  private func beAgent(
    _ name: String, _ address: SocketAddress, prefix: [String] = []
  ) async throws -> WedgeChild {
    let agent = try WedgeChild(
      .agent(address, stage.parameters.io, name), on: stage, prefix: prefix)
    children.withLock { $0.append(agent) }
    _ = try await agent.ready()
    return agent
  }

  func pull() async {
    for agent in children.take() { agent.end() }
    try? await stage.network?.mend()
  }

  func end() async throws { server.end() }
}
