import CShims
import FDDelays
import FDPoller
import Synchronization
import SystemPackage

/// The handler of a listener that several loops share: they may be inside at the same time.
final class Doorman: DescriptorHandler, @unchecked Sendable {
  private let id: UInt64
  private let door: Door
  private let hotel: Hotel
  /// Whoever is told of clients deletes it from inside.
  let isToDelete = Atomic<Bool>(false)
  private let inside = Atomic<Int>(0)
  private let won = Atomic<Bool>(false)
  private let hasDeparted = Atomic<Bool>(false)
  private let visits = Atomic<Int>(0)

  /// So many clients may come with one event.
  private static let clientsPerEvent = 4

  init(_ id: UInt64, _ door: Door, of hotel: Hotel) {
    self.id = id
    self.door = door
    self.hotel = hotel
    hotel.objects.open()
  }

  deinit { hotel.objects.close() }

  private func violate(_ ledger: String, _ handle: FDHandle?) {
    hotel.stage.violate(ledger, "listener \(id)", handle)
  }

  /// From anywhere: of all who try, one succeeds.
  func delete(_ handle: FDHandle) {
    guard hotel.poller.delete(handle) else { return }
    Chronicle.note("deleted the listener", handle.rawValue)
    if won.exchange(true, ordering: .relaxed) {
      violate("of the deletes of a listener one wins", handle)
    }
    hotel.deletions.close()
  }

  override func ready(_ readiness: Readiness, of handle: FDHandle, on loop: EventLoop) {
    inside.wrappingAdd(1, ordering: .relaxed)
    if hasDeparted.load(ordering: .relaxed) { violate("no call after departed", handle) }
    let visit = visits.wrappingAdd(1, ordering: .relaxed).oldValue
    if isToDelete.load(ordering: .relaxed) { delete(handle) }
    if visit % 8 == 0 {
      // This loop does not feel like it.
      loop.poke(handle)
    } else {
      for _ in 0..<Self.clientsPerEvent where !letIn(from: handle, loop) { break }
    }
    if hasDeparted.load(ordering: .relaxed) { violate("nobody inside after departed", handle) }
    inside.wrappingSubtract(1, ordering: .relaxed)
  }

  /// - Returns: whether there may be more.
  private func letIn(from handle: FDHandle, _ loop: EventLoop) -> Bool {
    switch loop.acceptDirectly(handle) {
    case .done(let fd):
      door.heartbeat.beat()
      hotel.guests.open()
      let client = FileDescriptor(rawValue: Int32(fd))
      do {
        _ = try loop.insert(client, handler: Guest(of: hotel))
      } catch {
        hotel.stage.violate(
          "a number that the kernel hands out is free in the table", "\(error)")
        _ = fdp_close(client.rawValue)
      }
      return true
    case .wouldBlock, .failed(.connectionAbort):
      return false
    case .failed(let errno):
      hotel.stage.violate(
        "who is inside may use its number", "listener \(id): accept says \(errno)", handle)
      return false
    }
  }

  override func retire() {
    if inside.load(ordering: .relaxed) != 0 { violate("nobody inside at the close", nil) }
  }

  override func departed(_ handle: FDHandle, _ departure: Departure) {
    if hasDeparted.exchange(true, ordering: .relaxed) {
      violate("one departure for every listener", handle)
    }
    if inside.load(ordering: .relaxed) != 0 { violate("nobody inside at the close", handle) }
    if departure != .closed { violate("the poller alone closes", handle) }
    hotel.listeners.close()
    door.doormanHasDeparted()
    hotel.departures.close()
  }
}
