import FDHTTP
import FDNet
import FDPoller
import Logging

/// Reads the PROXY header that a trusted peer begins a connection with, and hands the connection on
/// to whom it concerns. On the connection's loop.
final class ProxyHeaderGate: ConnectionHandler, TimerTarget {
  private let peer: SocketAddress
  private let connection: Connection
  private let proxy: HTTPProxy
  private var header: [UInt8] = []
  private var timer = LazyTimer()

  init(_ connection: Connection, from peer: SocketAddress, to proxy: HTTPProxy) {
    self.connection = connection
    self.peer = peer
    self.proxy = proxy
    let limit = proxy.plan.configuration.timeouts.clientHeader
    timer.set(after: limit?.wholeNanoseconds, self, on: connection.loop)
  }

  func received(_ bytes: RawSpan, on connection: Connection) {
    bytes.withUnsafeBytes { header.append(contentsOf: $0) }
    let received = header
    switch ProxyHeader.read(received.span.bytes) {
    case .incomplete:
      break
    case .header(let count, let source):
      timer.cancel(on: connection.loop)
      // A drain does not wait for who has not said yet for whom it speaks, and may be over.
      guard let handler = proxy.begin(connection, from: source ?? peer) else {
        return connection.abort()
      }
      connection.setHandler(handler)
      if count < received.count {
        handler.received(received.span.bytes.extracting(count...), on: connection)
      }
    case .violation(let reason):
      proxy.warn("no PROXY header", ["peer": "\(peer)", "reason": "\(reason)"])
      connection.abort()
    }
  }

  func timerFired(on loop: EventLoop) {
    if timer.hasFired(self, on: loop) { connection.abort() }
  }

  func closed(_ connection: Connection, _ reason: CloseReason) {
    timer.cancel(on: connection.loop)
  }
}
