package import FDOwnership
import Synchronization

/// What the table says of one descriptor, read from outside without disturbing anybody: its parts
/// are atomic each by itself, so they may be of moments that differ a little.
package struct SlotLook: Sendable, Equatable {
  package let handle: FDHandle
  package let state: OwnershipState
  package let isParked: Bool
  /// How many events in a row its handler got without doing anything about them.
  package let eventsWithoutProgress: Int
  let isClosedElsewhere: Bool
  private let home: (name: String, isOwner: Bool, isInside: Bool, ticks: UInt64)

  fileprivate init(_ fd: Int32, in core: PollerCore, _ state: OwnershipState) {
    let slot = core.table.pointer(to: fd)
    let handle = FDHandle(fd: fd, generation: slot.pointee.ownership.generation)
    self.handle = handle
    self.state = state
    isParked = slot.pointee.parking.isParked(handle.generation)
    eventsWithoutProgress = Int(slot.pointee.eventsWithoutProgress.load(ordering: .relaxed))
    isClosedElsewhere =
      slot.pointee.closedElsewhere.load(ordering: .relaxed) == handle.rawValue + 1
    let loop = core.loops[Int(slot.pointee.home.load(ordering: .relaxed))]
    let isOfGroup = state.group == loop.bit.group
    home = (
      loop.name, isOfGroup && state.threads.contains(loop.bit.mask),
      isOfGroup && state.running.contains(loop.bit.mask), loop.ticks
    )
  }

  package static func == (one: SlotLook, other: SlotLook) -> Bool {
    one.handle == other.handle && one.state == other.state && one.isParked == other.isParked
      && one.home.name == other.home.name
  }

  /// Whether no look that comes later can find it odd, compared with this one.
  package var isAtRest: Bool {
    state.fate == .live && !state.threads.isEmpty && state.running.isEmpty && home.isOwner
      && !isClosedElsewhere
  }

  /// What should not last, in words: nil for a descriptor at rest.
  ///
  /// - Parameter earlier: a look at the same descriptor, long ago for a loop.
  /// - Returns: nil, too, if anything has changed since.
  package func oddity(since earlier: SlotLook) -> String? {
    guard self == earlier else { return nil }
    if isClosedElsewhere { return "somebody has closed it behind the poller's back" }
    switch state.fate {
    case .sealed: return "it is being set up or closed, and that does not come to its end"
    case .condemned, .disowned:
      return state.running.isEmpty
        ? "it must close, nobody is inside, and it is still here"
        : "it must close, and somebody stays inside"
    case .live where state.threads.isEmpty: return "it lives, and no thread may enter it"
    case .live where !home.isOwner: return "its home loop is not one of its threads"
    case .live where home.isInside && home.ticks == earlier.home.ticks:
      return "its handler does not return"
    case .live: return nil
    }
  }
}

extension SlotLook: CustomStringConvertible {
  /// As `Poller.describe(_:)` has it.
  package var description: String {
    "fd \(handle.fd): \(state), home \(home.name)" + (isParked ? ", parked" : "")
  }
}

extension PollerCore {
  /// Looks at a descriptor number. Callable from any thread.
  ///
  /// - Parameter fd: within the table.
  /// - Returns: nil if the slot is free.
  func look(at fd: Int32) -> SlotLook? {
    let state = table[fd].ownership.state
    return state.isFree ? nil : SlotLook(fd, in: self, state)
  }
}

extension Poller {
  /// One above the highest descriptor number that was ever inserted.
  package var descriptorBound: Int32 { core.descriptorBound }

  /// Looks at a descriptor number. Callable from any thread.
  ///
  /// - Parameter fd: below `descriptorBound`, not negative.
  /// - Returns: nil if it is not the poller's.
  package func look(at fd: Int32) -> SlotLook? { core.look(at: fd) }
}
