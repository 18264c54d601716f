import FDOwnership
import Synchronization
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

/// A handler that a test looks into: it notes what it is called with, and does what the test says.
final class Probe: DescriptorHandler, @unchecked Sendable {
  typealias Action = @Sendable (_ handle: FDHandle, _ loop: EventLoop) -> Void

  private let life = LiveObject()
  private let state = Guarded(State())
  private let action: Action

  private struct State {
    var calls: [Call] = []
    var entrants: [Int] = []
    var inside = 0
    var mostInside = 0
    var departures: [Departure] = []
    var retirements = 0
    var misfortunes: [String] = []
  }

  struct Call: Equatable {
    var loop: Int
    var readiness: Readiness
  }

  /// - Parameter action: runs at each event; by default it reads what is there.
  init(_ action: @escaping Action = { handle, _ in FileDescriptor(rawValue: handle.fd).drain() }) {
    self.action = action
  }

  override func ready(_ readiness: Readiness, of handle: FDHandle, on loop: EventLoop) {
    state.withLock { state in
      state.entrants.append(loop.index)
      state.inside += 1
      state.mostInside = max(state.mostInside, state.inside)
      if EventLoop.current !== loop { state.misfortunes.append("called off its loop") }
      if !state.departures.isEmpty { state.misfortunes.append("called after it departed") }
    }
    action(handle, loop)
    state.withLock { state in
      state.calls.append(Call(loop: loop.index, readiness: readiness))
      state.inside -= 1
    }
  }

  override func retire() { state.withLock { $0.retirements += 1 } }

  override func departed(_ handle: FDHandle, _ departure: Departure) {
    state.withLock { state in
      state.departures.append(departure)
      if state.inside > 0 { state.misfortunes.append("departed while somebody was inside") }
      if EventLoop.current == nil { state.misfortunes.append("departed off the loops") }
    }
  }

  /// How many calls have returned: one that is counted has read what was there.
  var calls: Int { state.withLock { $0.calls.count } }
  /// The loops whose calls have returned, in order.
  var callers: [Int] { state.withLock { $0.calls.map(\.loop) } }
  /// The loops whose calls have begun, in order.
  var entrants: [Int] { state.withLock { $0.entrants } }
  var readiness: [Readiness] { state.withLock { $0.calls.map(\.readiness) } }
  var departures: [Departure] { state.withLock { $0.departures } }
  var retirements: Int { state.withLock { $0.retirements } }
  var isInside: Bool { state.withLock { $0.inside > 0 } }
  var mostInside: Int { state.withLock { $0.mostInside } }

  /// Whether it left the poller by a close, and all calls came when and where they may.
  func isClosedOnce() async -> Bool {
    await departs(as: .closed)
  }

  func departs(as departure: Departure) async -> Bool {
    guard await eventually({ !departures.isEmpty }) else { return false }
    return state.withLock { $0.departures == [departure] && $0.misfortunes.isEmpty }
  }
}

/// A probe whose handler stands still at a gate until the test opens it.
struct HeldProbe {
  let gate = Gate()
  let probe: Probe

  init(then action: @escaping Probe.Action = { _, _ in }) {
    let gate = gate
    probe = Probe { handle, loop in
      gate.wait()
      FileDescriptor(rawValue: handle.fd).drain()
      action(handle, loop)
    }
  }
}
