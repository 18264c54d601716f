public import FDNet
public import FDPoller
import Synchronization

/// Speaks HTTP/1.1 on connections that somebody else has accepted. `HTTPServer` is one of these
/// with a listener.
///
/// Callable from any thread, but for `serve`.
public final class HTTPService: Sendable {
  let poller: Poller
  let states: [HTTPLoopState]
  /// Whether `100 Continue` is said by itself to a request that its handler has not answered.
  let saysContinue: Bool
  /// Told of each request that is refused, on its connection's loop.
  let whenRefused: (@Sendable (HTTPViolation, HTTPServerConnection) -> Void)?
  private let draining = Atomic(false)

  /// - Parameters:
  ///   - poller: on whose loops the connections run.
  ///   - settings: how clients are treated.
  public convenience init(on poller: Poller, settings: HTTPServerSettings = HTTPServerSettings()) {
    self.init(on: poller, settings: settings, saysContinue: true, whenRefused: nil)
  }

  package init(
    on poller: Poller, settings: HTTPServerSettings, saysContinue: Bool,
    whenRefused: (@Sendable (HTTPViolation, HTTPServerConnection) -> Void)?
  ) {
    self.saysContinue = saysContinue
    self.whenRefused = whenRefused
    self.poller = poller
    states = poller.loops.map { _ in HTTPLoopState(settings) }
  }

  /// Speaks HTTP on a connection from here on. On the connection's loop.
  ///
  /// - Parameters:
  ///   - connection: open.
  ///   - handler: answers its requests.
  /// - Returns: the connection's handler, to be set as such.
  public func serve(
    _ connection: Connection, _ handler: any HTTPRequestHandler
  ) -> HTTPServerConnection {
    HTTPServerConnection(connection, of: self, handler)
  }

  /// What has been counted so far, on all loops together.
  public struct Statistics: Sendable, Equatable {
    /// Open connections.
    public var connections = 0
    /// Requests whose head was complete and in order.
    public var requests = 0
    /// Requests that broke a rule or a limit.
    public var refused = 0
    /// Requests that did not come in time.
    public var timeouts = 0
    /// Exchanges that ended before both sides were complete.
    public var cancelled = 0
    /// Connections that arrived from another loop.
    public var moves = 0
  }

  /// What has been counted so far.
  public var statistics: Statistics {
    states.reduce(into: Statistics()) { sum, state in
      sum.connections += state.counts.connections.current
      sum.requests += state.counts.requests.current
      sum.refused += state.counts.refused.current
      sum.timeouts += state.counts.timeouts.current
      sum.cancelled += state.counts.cancelled.current
      sum.moves += state.counts.moves.current
    }
  }

  var isDraining: Bool { draining.load(ordering: .relaxed) }

  /// Treats clients otherwise from now on, those that are connected too.
  public func apply(_ settings: HTTPServerSettings) {
    for (loop, state) in zip(poller.loops, states) { loop.run { state.apply(settings) } }
  }

  /// Closes each connection as soon as no exchange is under way on it; an answer says so with
  /// `Connection: close`. One that has not had its first request yet has a second for it.
  public func drain() {
    draining.store(true, ordering: .relaxed)
    for (loop, state) in zip(poller.loops, states) {
      loop.run {
        for connection in state.connections { connection.closeIfIdle() }
      }
    }
  }

  /// Open connections, by the index of their loop.
  package var connectionCounts: [Int] { states.map(\.counts.connections.current) }

  /// Moves connections of one loop to another, each between two exchanges.
  ///
  /// - Parameters:
  ///   - count: how many at most.
  ///   - origin: where they are.
  ///   - destination: where they are to be.
  public func move(_ count: Int, from origin: EventLoop, to destination: EventLoop) {
    move(count, from: origin, to: destination) { _ in }
  }

  /// As the other `move`.
  ///
  /// - Parameter completion: told how many will go, unless they end before; on the origin's loop. It
  ///   is dropped if that has stopped.
  package func move(
    _ count: Int, from origin: EventLoop, to destination: EventLoop,
    _ completion: @escaping @Sendable (Int) -> Void
  ) {
    let state = states[origin.index]
    origin.run {
      var asked = 0
      for connection in state.connections where asked < count {
        if connection.requestMove(to: destination) { asked += 1 }
      }
      completion(asked)
    }
  }
}
