import CShims
import FDDelays
import FDPoller
import Synchronization
import SystemPackage

/// The near end of a connection: a handler that checks what it is promised.
///
/// Its messages are eight bytes: the number of the connection, so that a byte that reaches another
/// connection shows. With the top bit it is a question; with the next one, the answer.
final class Line: DescriptorHandler, @unchecked Sendable {
  static let question: UInt64 = 1 << 63
  static let answer: UInt64 = 1 << 62

  let id: UInt64
  /// Several loops own it, so several may be inside at once, and nobody takes it over.
  let isShared: Bool
  private let berth: Berth
  private let field: Field

  // Plain, so that ThreadSanitizer sees any two threads that the poller fails to keep apart or in
  // order. Of a shared line nobody touches them.

  private var visits = 0
  private var answers: [UInt64] = []
  /// Which loop uses it outside its handler, if it is not parked.
  var holder: EventLoop?
  /// It must not be used from here on. The home loop's alone.
  private(set) var isRetired = false

  private let inside = Atomic<Int>(0)
  private let departures = Atomic<Int>(0)

  init(_ id: UInt64, isShared: Bool, berth: Berth, field: Field) {
    self.id = id
    self.isShared = isShared
    self.berth = berth
    self.field = field
    field.liveObjects.open()
  }

  deinit { field.liveObjects.close() }

  /// Around everything that runs inside.
  func visit(_ handle: FDHandle, _ body: () -> Void) {
    if departures.load(ordering: .relaxed) != 0 {
      field.violate("no call after departed", handle, "connection \(id)")
    }
    let others = inside.wrappingAdd(1, ordering: .relaxed).oldValue
    if !isShared {
      if others != 0 { field.violate("one handler at a time", handle, "connection \(id)") }
      if isRetired { field.violate("no call after retire", handle, "connection \(id)") }
      visits += 1
      answers.append(id)
      if answers.count > 4 { answers.removeAll(keepingCapacity: true) }
    }
    body()
    inside.wrappingSubtract(1, ordering: .relaxed)
  }

  override func ready(_ readiness: Readiness, of handle: FDHandle, on loop: EventLoop) {
    Chronicle.note("runs the handler of", handle.rawValue)
    visit(handle) {
      let worker = field.workers[loop.index]
      worker.dawdle()
      if field.isStormy && worker.chance(1, in: 64) { field.end(handle, worker.random.next()) }
      for _ in 0..<4 where !readMessage(handle, loop) { break }
      if readiness.contains(.write) { loop.stop(.write, handle) }
    }
  }

  /// - Returns: whether there may be more.
  private func readMessage(_ handle: FDHandle, _ loop: EventLoop) -> Bool {
    switch loop.receive(handle) {
    case .bytes(let bytes, _) where bytes.count == 8:
      let message = bytes.loadUnaligned(as: UInt64.self)
      if message & ~Self.question != id {
        field.violate("bytes stay on their connection", handle, "\(id) has got \(message)")
      }
      field.messages.add()
      if message & Self.question != 0 { send(id | Self.answer, handle, loop) }
      return true
    case .end, .failed:
      if loop.delete(handle) { field.hangUps.add() }
      return false
    case .bytes(let bytes, _):
      field.violate("messages stay whole", handle, "\(id) has got \(bytes.count) bytes")
      return false
    case .wouldBlock:
      return false
    }
  }

  /// Inside, or on the loop that holds it.
  func send(_ message: UInt64, _ handle: FDHandle, _ loop: EventLoop) {
    // A peer that is slow or gone is none of the ledgers.
    withUnsafeBytes(of: message) { _ = loop.send(handle, $0) }
  }

  override func retire() {
    isRetired = true
    if inside.load(ordering: .relaxed) != 0 {
      field.violate("nobody inside at the close", nil, "connection \(id)")
    }
    if !isShared, let holder, holder !== EventLoop.current {
      field.violate("retired on the loop that holds it", nil, "connection \(id)")
    }
  }

  override func departed(_ handle: FDHandle, _ departure: Departure) {
    Chronicle.note("is told of the departure of", handle.rawValue)
    if departures.wrappingAdd(1, ordering: .relaxed).oldValue != 0 {
      field.violate("one departure for every insert", handle, "connection \(id)")
    }
    if inside.load(ordering: .relaxed) != 0 {
      field.violate("nobody inside at the close", handle, "connection \(id)")
    }
    switch departure {
    case .closed:
      field.descriptors.close()
    case .disowned(let descriptor):
      if fdp_close(descriptor.rawValue) != 0 {
        field.violate("a disowned descriptor is open", handle, "connection \(id)")
      }
      field.descriptors.close()
    case .closedElsewhere:
      field.violate("the poller alone closes", handle, "connection \(id)")
    }
    berth.vacate()
    field.departures.close()
    // Often the two numbers are used again at once.
    guard let loop = EventLoop.current, field.isStormy else { return }
    field.workers[loop.index].reuse(berth)
  }
}
