import FDNet
import FDPoller

/// A pool with connections that are idle, and whoever is at their other ends.
///
/// A class with a state that is touched on the pool's loops only, one at a time.
final class IdleConnections: @unchecked Sendable {
  let loops: Loops
  let pool: ConnectionPool
  let address: SocketAddress
  private let listener: Listener
  private var opened = 0
  /// Checked out.
  @exclusivity(unchecked) private var held: [Connection] = []

  private final class Peer: ConnectionHandler {
    func received(_ bytes: RawSpan, on connection: Connection) {}
  }

  /// - Parameters:
  ///   - count: of connections, all idle on the last loop.
  ///   - loops: how many.
  init(_ count: Int, loops: Loops) throws {
    self.loops = loops
    listener = try Listener(.loopback(port: 0), on: loops.poller) { _ in Peer() }
    address = listener.address
    var limits = PoolLimits()
    limits.idlePerDestination = count * loops.poller.loops.count
    limits.purgeInterval = .seconds(3_600)
    (limits.lowDescriptorRatio, limits.highDescriptorRatio) = (1, 1)
    pool = ConnectionPool(on: loops.poller, limits: limits)
    let loop = loops.poller.loops[loops.poller.loops.count - 1]
    loops.on(loop) { [self] in
      for _ in 0..<count { open(on: loop) }
    }
    loops.wait(on: loop) { self.opened == count }
    loops.on(loop) { [self] in checkIn() }
  }

  private func open(on loop: EventLoop) {
    pool.open(address, on: loop, deadline: nil) { [self] result in
      guard case .success(let connection) = result else { preconditionFailure("\(result)") }
      connection.setHandler(Peer())
      held.append(connection)
      opened += 1
    }
  }

  /// Takes what is idle, wherever that is. On the loop.
  func take(_ count: Int, on loop: EventLoop) {
    for _ in 0..<count {
      guard let connection = pool.takeIdle(address, on: loop) else {
        preconditionFailure("there are idle ones")
      }
      held.append(connection)
    }
  }

  /// Checks in what is checked out. On its loop.
  func checkIn() {
    for connection in held { pool.checkIn(connection) }
    held.removeAll(keepingCapacity: true)
  }
}
