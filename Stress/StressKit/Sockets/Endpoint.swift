import FDDelays
import FDNet
import FDPoller
import Synchronization
import SystemPackage

/// What all handlers of one scenario's connections are held to. Callable from any thread.
final class EndpointLedgers: Sendable {
  let stage: Stage
  /// Those that wait for their end.
  let ends: Ledger
  fileprivate let objects: Ledger

  init(_ stage: Stage) {
    self.stage = stage
    ends = stage.ledger("closed is called once for every connection that is not given back")
    objects = stage.ledger("every handler is released")
  }
}

/// A handler that checks what handlers are promised: that they are called on the connection's loop,
/// one call at a time, never after `closed`, which comes once, and that they are kept until then.
/// What is to be done a subclass says.
class Endpoint: ConnectionHandler {
  private enum Life {
    case inUse
    case givenBack
    case closed
  }

  let ledgers: EndpointLedgers
  // Plain, so that ThreadSanitizer sees any two calls that nothing keeps in order.
  private var life = Life.inUse
  private var calls = 0
  private let handle: FDHandle
  private let inside = Atomic<Bool>(false)

  init(_ ledgers: EndpointLedgers, of connection: Connection) {
    self.ledgers = ledgers
    handle = connection.handle
    ledgers.objects.open()
    ledgers.ends.open()
  }

  deinit {
    if life == .inUse {
      violate(
        "a connection keeps its handler until closed was called",
        "somebody has taken it away after \(calls) calls")
    }
    ledgers.objects.close()
  }

  var stage: Stage { ledgers.stage }

  func violate(_ ledger: String, _ details: @autoclosure () -> String) {
    stage.violate(ledger, details(), handle)
  }

  /// The connection is somebody else's from here on, and this handler hears nothing any more. On
  /// its loop.
  func giveBack() {
    guard life == .inUse else { return }
    life = .givenBack
    ledgers.ends.close()
  }

  private func enter(_ connection: Connection, _ call: StaticString) {
    Chronicle.note(call, handle.rawValue)
    if connection.handle != handle {
      violate(
        "a handler is called for its own connection", "\(call) comes for \(connection.handle)")
    }
    if inside.exchange(true, ordering: .relaxed) {
      violate("one handler call at a time", "\(call) comes within another call")
    }
    switch life {
    case .inUse: break
    case .givenBack: violate("a connection that was given back is silent", "\(call) comes")
    case .closed: violate("nothing comes after closed", "\(call) comes")
    }
    if !connection.loop.isCurrent {
      violate("calls come on the connection's loop", "\(call) comes elsewhere")
    }
    calls += 1
  }

  private func leave() { inside.store(false, ordering: .relaxed) }

  // MARK: What a subclass does

  func take(_ bytes: RawSpan, on connection: Connection) {}
  func inputHasEnded(on connection: Connection) { connection.close() }
  func hasDrained(_ connection: Connection) {}
  func hasMoved(_ connection: Connection) {}
  func hasClosed(_ connection: Connection, _ reason: CloseReason) {}

  // MARK: What it is told

  final func received(_ bytes: RawSpan, on connection: Connection) {
    enter(connection, "received")
    if bytes.isEmpty { violate("received has at least one byte", "it has none") }
    take(bytes, on: connection)
    leave()
  }

  final func inputEnded(on connection: Connection) {
    enter(connection, "input ended")
    inputHasEnded(on: connection)
    leave()
  }

  final func drained(_ connection: Connection) {
    enter(connection, "drained")
    hasDrained(connection)
    leave()
  }

  final func moved(_ connection: Connection) {
    enter(connection, "moved")
    hasMoved(connection)
    leave()
  }

  final func closed(_ connection: Connection, _ reason: CloseReason) {
    enter(connection, "closed")
    if life == .inUse { ledgers.ends.close() }
    life = .closed
    hasClosed(connection, reason)
    leave()
  }
}
