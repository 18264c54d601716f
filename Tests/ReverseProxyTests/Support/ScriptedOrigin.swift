import CShims
import FDNet
import Glibc
import ReverseProxy
import TestKit

/// A server that does with each connection what a test has written down, in a thread for each, and
/// keeps every byte that it got.
final class ScriptedOrigin: Sendable {
  typealias Script = @Sendable (OriginLink) -> Void

  let port: UInt16
  private let listener: Guarded<Int32>
  private let state = Guarded(State())
  private let script: Script

  private struct State {
    var links: [OriginLink] = []
    var threads: [pthread_t] = []
    var acceptor: pthread_t?
    var isStopped = false
  }

  /// - Parameters:
  ///   - port: 0 is the kernel's choice.
  ///   - script: run once for each connection; the connection is closed after it.
  init(port: UInt16 = 0, _ script: @escaping Script) {
    self.script = script
    let fd = RawSocket.open()
    var on: Int32 = 1
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, 4)
    let result = RawSocket.withLoopback(port) { bind(fd, $0, $1) }
    precondition(result == 0, "a test cannot bind: errno \(errno)")
    listen(fd, 512)
    self.port = RawSocket.port(of: fd)
    listener = Guarded(fd)
    let acceptor = startThread { [self] in acceptAll(fd) }
    state.withLock { $0.acceptor = acceptor }
  }

  /// Answers every request, on every connection, in turn; the last answer serves all that follow.
  convenience init(port: UInt16 = 0, answers: String...) {
    let turn = Tally()
    self.init(port: port) { link in
      while link.takeRequest() != nil {
        link.send(answers[min(turn.add() - 1, answers.count - 1)])
      }
    }
  }

  var address: NamedAddress {
    NamedAddress(SocketAddress(ipv4: (127, 0, 0, 1), port: port))
  }

  /// The connections so far, in the order in which they came.
  var links: [OriginLink] { state.value.links }

  /// The requests so far, by connection and then in order.
  var requests: [RawMessage] { links.flatMap(\.requests) }

  /// Every byte so far, by connection.
  var received: [String] { links.map { String(decoding: $0.socket.received, as: UTF8.self) } }

  private func acceptAll(_ fd: Int32) {
    while true {
      let accepted = accept(fd, nil, nil)
      guard accepted >= 0 else { return }
      _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
      let isStopped = state.withLock { state in
        guard !state.isStopped else { return true }
        let link = OriginLink(RawSocket(accepted), number: state.links.count)
        state.links.append(link)
        state.threads.append(
          startThread { [script] in
            script(link)
            link.end()
          })
        return false
      }
      if isStopped { close(accepted) }
    }
  }

  /// Ends every connection and waits for all threads. The port refuses from then on.
  func stop() {
    let (acceptor, links) = state.withLock { state in
      defer { state.acceptor = nil }
      state.isStopped = true
      return (state.acceptor, state.links)
    }
    guard let acceptor else { return }
    shutdown(listener.value, Int32(SHUT_RDWR))
    pthread_join(acceptor, nil)
    close(listener.value)
    for link in links { link.interrupt() }
    for thread in state.value.threads { pthread_join(thread, nil) }
  }
}

/// A connection that a scripted origin has accepted.
final class OriginLink: @unchecked Sendable {
  let socket: RawSocket
  /// How many came before.
  let number: Int
  private let kept = Guarded<[RawMessage]>([])
  private let isOpen = Guarded(true)

  init(_ socket: RawSocket, number: Int) {
    self.socket = socket
    self.number = number
  }

  /// Those that were taken.
  var requests: [RawMessage] { kept.value }

  func takeRequest() -> RawMessage? {
    guard let request = socket.takeRequest() else { return nil }
    kept.withLock { $0.append(request) }
    return request
  }

  @discardableResult
  func send(_ text: String) -> Bool { socket.send(text) }

  /// Reads until the proxy has ended the connection.
  @discardableResult
  func waitForEnd() -> RawSocket.Ending? {
    _ = socket.takeAll()
    return socket.ending
  }

  /// Whether the proxy has ended the connection, which is asked after the script.
  var ending: RawSocket.Ending? { socket.ending }

  /// From its own thread.
  func end() {
    isOpen.withLock { isOpen in
      if isOpen { socket.close() }
      isOpen = false
    }
  }

  func reset() {
    isOpen.withLock { isOpen in
      if isOpen { socket.reset() }
      isOpen = false
    }
  }

  /// From another thread: what it waits for does not come.
  func interrupt() {
    isOpen.withLock { isOpen in
      if isOpen { socket.shutDown() }
    }
  }
}

private final class ThreadBody {
  let body: () -> Void
  init(_ body: @escaping () -> Void) { self.body = body }
}

/// A thread that its maker joins.
func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
  var thread = pthread_t()
  let result = pthread_create(
    &thread, nil,
    { context in
      Unmanaged<ThreadBody>.fromOpaque(context!).takeRetainedValue().body()
      return nil
    }, Unmanaged.passRetained(ThreadBody(body)).toOpaque())
  precondition(result == 0, "a test cannot have the threads that it needs")
  return thread
}

func joinThread(_ thread: pthread_t) { pthread_join(thread, nil) }
