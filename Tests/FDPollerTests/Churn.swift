import FDOwnership
import SystemPackage
import TestKit

@testable import FDPoller

/// Descriptors that all loops of a poller insert, park, take over, write to and delete at random,
/// all at once.
///
/// It bounds itself: a limited number of inserts, and steps only as long as the test says.
final class Churn: Sendable {
  private struct Entry {
    var handle: FDHandle
    var far: FileDescriptor
    var probe: Probe
    var isShared: Bool
  }

  private let poller: Poller
  private let entries = Guarded<[Entry]>([])
  private let isOver = Tally()
  private let most: Int
  /// Steps that were taken.
  let steps = Tally()
  /// Takeovers that were won.
  let takeovers = Tally()
  /// Deletes that returned true.
  let deletes = Tally()
  /// Inserts that were refused because the poller stops.
  let refusals = Tally()

  init(_ poller: Poller, inserts most: Int) {
    self.poller = poller
    self.most = most
  }

  /// Starts a chain of steps on every loop.
  func begin() {
    for loop in poller.loops { loop.run { [self] in step(on: loop) } }
  }

  /// Ends the chains.
  func end() { isOver.add() }

  private func step(on loop: EventLoop) {
    guard isOver.value == 0 else { return }
    steps.add()
    switch UInt8.random(in: 0..<10) {
    case 0..<2: insert(from: loop)
    case 2..<5: takeOver(on: loop)
    case 5: deleteOne()
    default: randomEntry().map { _ = $0.far.put() }
    }
    // A pause now and then, so that loops fall asleep in between.
    if UInt8.random(in: 0..<8) == 0 {
      loop.schedule(after: .milliseconds(1)) { [self] in step(on: loop) }
    } else {
      loop.run { [self] in step(on: loop) }
    }
  }

  private func randomEntry() -> Entry? { entries.withLock { $0.randomElement() } }

  private func insert(from loop: EventLoop) {
    guard entries.withLock({ $0.count < most }) else { return }
    let isShared = UInt8.random(in: 0..<4) == 0
    let group = poller.loops.filter { $0.bit.group == loop.bit.group }
    let placement: Placement =
      if isShared && group.count > 1 {
        .loops(Array(group.shuffled().prefix(3)))
      } else if Bool.random() {
        .any
      } else {
        .loop(loop)
      }
    let pair = SocketPair()
    let probe = Probe { handle, loop in
      FileDescriptor(rawValue: handle.fd).drain()
      if UInt8.random(in: 0..<64) == 0 { loop.delete(handle) }
    }
    do throws(PollerError) {
      let handle = try poller.insert(pair.near, handler: probe, on: placement, options: .fresh)
      entries.withLock {
        $0.append(Entry(handle: handle, far: pair.far, probe: probe, isShared: isShared))
      }
    } catch {
      refusals.add()
      pair.near.closeForGood()
      pair.far.closeForGood()
    }
  }

  private func takeOver(on loop: EventLoop) {
    guard let entry = randomEntry(), !entry.isShared else { return }
    if loop.owns(entry.handle) { return loop.park(entry.handle) }
    guard loop.takeOver(entry.handle, wanting: .read, { _ in }) == .taken else { return }
    takeovers.add()
    if Bool.random() { loop.park(entry.handle) }
  }

  private func deleteOne() {
    guard let entry = randomEntry(), poller.delete(entry.handle) else { return }
    deletes.add()
  }

  /// What went wrong, when the poller has stopped; closes the other ends.
  func findings() async -> [String] {
    var findings: [String] = []
    for entry in entries.value {
      if await !entry.probe.isClosedOnce() {
        findings.append("\(entry.handle): \(entry.probe.departures)")
      }
      if entry.probe.retirements > 1 { findings.append("\(entry.handle) was retired twice") }
      if !entry.isShared && entry.probe.mostInside > 1 {
        findings.append("\(entry.handle) had two inside")
      }
      if !entry.far.isAtEnd { findings.append("\(entry.handle) is not closed") }
      entry.far.closeForGood()
    }
    entries.value = []
    return findings
  }
}
