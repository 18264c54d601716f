import FDPoller
import Synchronization

/// A client that was let in: says back what it hears, and goes when the client goes.
final class Guest: DescriptorHandler, @unchecked Sendable {
  private let hotel: Hotel

  init(of hotel: Hotel) {
    self.hotel = hotel
    hotel.objects.open()
  }

  deinit { hotel.objects.close() }

  override func ready(_ readiness: Readiness, of handle: FDHandle, on loop: EventLoop) {
    switch loop.receive(handle) {
    case .bytes(let bytes, _):
      let message = bytes.loadUnaligned(as: UInt64.self)
      if bytes.count != MemoryLayout<UInt64>.size {
        hotel.stage.violate("messages stay whole", "\(bytes.count) bytes", handle)
      }
      hotel.answers.open()
      withUnsafeBytes(of: message) { _ = loop.send(handle, $0) }
    case .end, .failed:
      loop.delete(handle)
    case .wouldBlock:
      break
    }
  }

  override func departed(_ handle: FDHandle, _ departure: Departure) { hotel.guests.close() }
}
