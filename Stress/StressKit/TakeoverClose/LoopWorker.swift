import CShims
import FDDelays
import FDOwnership
import FDPoller
import Glibc
import Synchronization

/// What one loop does to the connections, its own and those of others. On the loop, save where it
/// says otherwise.
final class LoopWorker: @unchecked Sendable {
  let loop: EventLoop
  let heartbeat: Heartbeat
  var random: SplitMix
  private unowned let field: Field
  /// Connections that this loop uses outside their handlers.
  private var held: [Held] = []
  private let resting = Atomic<Bool>(false)

  private static let operationsPerStep = 4

  private struct Held {
    let handle: FDHandle
    let line: Line
  }

  init(_ loop: EventLoop, field: Field) {
    self.loop = loop
    self.field = field
    heartbeat = field.stage.heartbeat(loop.name)
    random = field.stage.random(for: loop.name)
  }

  /// Callable from any thread.
  var isResting: Bool { resting.load(ordering: .acquiring) }

  func chance(_ part: UInt64, in whole: UInt64) -> Bool { random.next() % whole < part }

  /// A moment, now and then a long one, so that the threads meet in ever different ways.
  func dawdle() {
    guard chance(1, in: 8) else { return }
    if chance(1, in: 8) { usleep(50) } else { sched_yield() }
  }

  /// Does a few things, and comes back for more until the field is calm.
  func step() {
    heartbeat.beat()
    guard field.isStormy else { return rest() }
    field.operations.add(Self.operationsPerStep)
    for _ in 0..<Self.operationsPerStep {
      switch random.next() % 16 {
      case 0..<8: steal()
      case 8..<14: useHeld()
      case 14: deleteSomebodys()
      default:
        let vacant = field.berths.randomElement(using: &random)
        if let vacant, vacant.isVacant { field.make(in: vacant, by: self, random.next()) }
      }
    }
    // Sometimes at once and sometimes after a sleep.
    if chance(1, in: 4) {
      loop.schedule(after: .microseconds(random.next() % 2_000)) { [self] in step() }
    } else {
      loop.run { [self] in step() }
    }
  }

  private func rest() {
    for index in held.indices.reversed() { park(index) }
    resting.store(true, ordering: .releasing)
  }

  /// Lets go of the handlers that it has held last. When the loop has ended.
  func forget() { held = [] }

  func reuse(_ berth: Berth) {
    if chance(1, in: 2) { field.make(in: berth, by: self, random.next()) }
  }
}

// MARK: - What it does

extension LoopWorker {
  /// A connection has come to this loop alone, unparked: it is used for a while, or parked at once.
  func adopt(_ line: Line, _ handle: FDHandle) {
    guard !line.isRetired, loop.owns(handle) else { return }
    line.holder = loop
    held.append(Held(handle: handle, line: line))
    if !field.isStormy || chance(3, in: 4) { park(held.count - 1) }
  }

  private func park(_ index: Int) {
    let entry = held.remove(at: index)
    guard !entry.line.isRetired else { return }
    entry.line.holder = nil
    Chronicle.note("parks", entry.handle.rawValue)
    loop.park(entry.handle)
    // A keep-alive timeout, which comes just when somebody takes the connection over.
    if chance(1, in: 16) {
      loop.schedule(after: .milliseconds(1)) { [self] in field.end(entry.handle, random.next()) }
    }
  }

  private func steal() {
    guard let berth = field.berths.randomElement(using: &random) else { return }
    let handle = berth.handle
    var taken: Line?
    let result = loop.takeOver(handle, wanting: .read) { handler in
      guard let line = handler as? Line else { return }
      Chronicle.note("has taken over", handle.rawValue)
      line.visit(handle) {
        line.holder = loop
        dawdle()
        if chance(1, in: 16) { field.end(handle, random.next()) }
      }
      taken = line
    }
    guard result == .taken, let taken else { return }
    // Somebody may have deleted it meanwhile; then this loop has closed it right after the
    // takeover.
    guard !taken.isRetired else { return }
    held.append(Held(handle: handle, line: taken))
    if chance(1, in: 2) { park(held.count - 1) }
  }

  private func useHeld() {
    guard let index = held.indices.randomElement(using: &random) else { return }
    let entry = held[index]
    guard !entry.line.isRetired else {
      held.remove(at: index)
      return
    }
    switch random.next() % 16 {
    case 0..<6: entry.line.send(entry.line.id, entry.handle, loop)
    case 6: loop.want(.write, entry.handle)
    case 7: field.end(entry.handle, random.next())
    case 8..<10: move(index)
    default: park(index)
    }
  }

  private func move(_ index: Int) {
    let entry = held[index]
    guard let other = field.poller.loops.randomElement(using: &random), other !== loop
    else { return }
    let receiver = field.workers[other.index]
    Chronicle.note("hands over", entry.handle.rawValue)
    let result = loop.handOver(entry.handle, to: other, wanting: .read) { arrival in
      entry.line.visit(entry.handle) {
        entry.line.holder = arrival
        receiver.adopt(entry.line, entry.handle)
      }
      if arrival !== other {
        self.field.violate("moves arrive where they were sent", entry.handle, "\(arrival)")
      }
    }
    switch result {
    case .taken:
      held.remove(at: index)
      field.moves.add()
    case .closing, .stale: break
    case .busy: field.violate("what a loop holds nobody else is in", entry.handle, "\(loop)")
    }
  }

  private func deleteSomebodys() {
    guard let berth = field.berths.randomElement(using: &random) else { return }
    field.end(berth.handle, random.next())
  }
}
