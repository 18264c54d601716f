import CShims
import FDDelays
import FDPoller
import Synchronization
import SystemPackage

/// The near end of a connection: a handler that believes nothing without a cause of its own.
final class Tenant: DescriptorHandler, @unchecked Sendable {
  let id: UInt64
  /// Messages that have come. Read by any thread.
  let heard = Tally()
  /// Set before the peer hangs up.
  let peerHasGone = Atomic<Bool>(false)
  private let house: House
  private let street: Street

  // Plain, so that ThreadSanitizer sees any two threads that the poller fails to keep apart.

  private var visits = 0
  private var isInside = false
  private var isRetired = false
  private var hasDeparted = false

  init(_ id: UInt64, of house: House, in street: Street) {
    self.id = id
    self.house = house
    self.street = street
    street.objects.open()
  }

  deinit { street.objects.close() }

  private func violate(_ ledger: String, _ handle: FDHandle?, _ details: String) {
    street.stage.violate(ledger, "connection \(id), \(details)", handle)
  }

  override func ready(_ readiness: Readiness, of handle: FDHandle, on loop: EventLoop) {
    if isInside { violate("one handler at a time", handle, "visit \(visits)") }
    if isRetired { violate("no call after retire", handle, "visit \(visits)") }
    if loop !== house.loop { violate("events come on the owner's loop", handle, "\(loop)") }
    isInside = true
    visits += 1
    let hangsUp = !readiness.isDisjoint(with: [.hangUp, .error])
    if hangsUp && !peerHasGone.load(ordering: .acquiring) {
      complainOfHangUp(
        handle, "the event says \(readiness.contains(.hangUp) ? "hang-up" : "error")")
    }
    // Other events of this wait may be for the numbers that this closes, and uses again.
    if street.stage.isStormy { street.porters[loop.index].strike(sparing: house) }
    while readMessage(handle, loop) {}
    isInside = false
  }

  private func complainOfHangUp(_ handle: FDHandle, _ details: String) {
    violate(
      "an event has its cause in its own incarnation", handle,
      "\(details), but its peer has never hung up: the event is an earlier incarnation's")
  }

  /// - Returns: whether there may be more.
  private func readMessage(_ handle: FDHandle, _ loop: EventLoop) -> Bool {
    switch loop.receive(handle) {
    case .bytes(let bytes, _) where bytes.count == 8:
      let message = bytes.loadUnaligned(as: UInt64.self)
      if message != id {
        violate("bytes stay on their connection", handle, "it has got those of \(message)")
      }
      heard.add()
      street.messages.add()
      return true
    case .bytes(let bytes, _):
      violate("messages stay whole", handle, "it has got \(bytes.count) bytes")
      return false
    case .end, .failed:
      if !peerHasGone.load(ordering: .acquiring) {
        complainOfHangUp(handle, "its stream has ended")
      }
      street.hangUps.add()
      street.delete(house)
      return false
    case .wouldBlock:
      return false
    }
  }

  override func retire() {
    if isInside { violate("nobody inside at the close", nil, "visit \(visits)") }
    isRetired = true
  }

  override func departed(_ handle: FDHandle, _ departure: Departure) {
    if hasDeparted { violate("one departure for every insert", handle, "\(departure)") }
    hasDeparted = true
    if departure != .closed { violate("the poller alone closes", handle, "\(departure)") }
    street.descriptors.close()
    house.vacate(self)
    street.departures.close()
    // Often the two numbers are used again at once.
    if !house.isSpare { house.open(in: street) }
  }
}
