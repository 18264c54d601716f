import FDNet
import FDPoller

/// A message that two connections send each other back, both on one loop: every tick has one event,
/// a message that is read and written.
final class Echo: Repetitions, @unchecked Sendable {
  private let loops: Loops
  private let ball = Ball()
  private let listener: Listener

  init(io: IOBackend) throws {
    loops = try Loops(io: io)
    let ball = ball
    listener = try Listener(.loopback(port: 0), on: loops.poller) { _ in ball }
    let loop = loops.first
    let address = listener.address
    loops.on(loop) {
      _ = Connector.connect(to: address, on: loop, deadline: nil, settings: ConnectionSettings()) {
        guard case .success(let connection) = $0 else { preconditionFailure("\($0)") }
        connection.setHandler(ball)
        ball.first = connection
      }
    }
    loops.wait(on: loop) { ball.first != nil }
    // Once to and fro: the other end is there.
    loops.on(loop) { ball.play(on: loop, 2) }
  }

  func run(_ count: Int) -> Duration {
    let (loop, ball) = (loops.first, ball)
    return loops.on(loop) { timed { echo(ball, loop, count) } }
  }

  func end() { loops.end() }
}

@_silgen_name("workload_echo")
@inline(never)
func echo(_ ball: Ball, _ loop: EventLoop, _ count: Int) { ball.play(on: loop, count) }

/// The handler of both ends. It returns the message until it has been received often enough.
final class Ball: ConnectionHandler, @unchecked Sendable {
  /// The end that begins.
  fileprivate var first: Connection?
  @exclusivity(unchecked) private var left = 0
  private let message = [UInt8](repeating: 0x21, count: 64)

  func received(_ bytes: RawSpan, on connection: Connection) {
    left -= 1
    if left > 0 { connection.write(bytes) }
  }

  func play(on loop: EventLoop, _ count: Int) {
    left = count
    _ = message.withUnsafeBytes { first?.write($0) }
    while left > 0 { loop.tick() }
  }

  func closed(_ connection: Connection, _ reason: CloseReason) {
    if connection === first { first = nil }
  }
}
