import FDDelays
import FDPoller
import Synchronization

/// The near end of a connection that goes from loop to loop: a handler that checks what it is
/// promised.
final class Baton: DescriptorHandler, @unchecked Sendable {
  let id: UInt64
  private let course: Course
  private let field: Triangles
  /// Messages that have come. Read by any thread.
  let heard = Tally()

  // Plain, so that ThreadSanitizer sees any two threads that the poller fails to keep apart.

  /// The index of the loop that has it.
  private var owner: Int
  /// Whether that loop wants to be told, and of how much it was told since it does not.
  private var isWanted: Bool
  private var unwanted = 0
  private var isInside = false
  private var isRetired = false

  /// What was under way when the owner's kernel poller was told that nothing is wanted.
  private static let unwantedAtMost = 4

  init(_ id: UInt64, _ course: Course, on loop: EventLoop, in field: Triangles) {
    self.id = id
    self.course = course
    self.field = field
    owner = loop.index
    isWanted = true
    field.objects.open()
  }

  deinit { field.objects.close() }

  private func violate(_ ledger: String, _ handle: FDHandle?, _ details: String) {
    field.stage.violate(ledger, "connection \(id), \(details)", handle)
  }

  private func visit(_ handle: FDHandle, _ body: () -> Void) {
    if isInside { violate("one handler at a time", handle, "owner \(owner)") }
    if isRetired { violate("no call after retire", handle, "owner \(owner)") }
    isInside = true
    body()
    isInside = false
  }

  /// The loop has taken it over, and is inside.
  func change(to loop: EventLoop, wanting isWanted: Bool, _ handle: FDHandle) {
    visit(handle) {
      field.noteTakeover(from: owner, by: loop)
      owner = loop.index
      note(isWanted: isWanted)
    }
  }

  /// The owner has changed its mind. On its loop.
  func note(isWanted: Bool) {
    self.isWanted = isWanted
    unwanted = 0
  }

  override func ready(_ readiness: Readiness, of handle: FDHandle, on loop: EventLoop) {
    visit(handle) {
      if loop.index != owner { violate("events come on the owner's loop", handle, "\(loop)") }
      guard isWanted else {
        unwanted += 1
        if unwanted == Self.unwantedAtMost + 1 {
          violate("who wants nothing is told nothing", handle, "\(loop) is told again and again")
        }
        return
      }
      while readMessage(handle, loop) {}
    }
  }

  private func readMessage(_ handle: FDHandle, _ loop: EventLoop) -> Bool {
    switch loop.receive(handle) {
    case .bytes(let bytes, _) where bytes.count == 8:
      let message = bytes.loadUnaligned(as: UInt64.self)
      if message != id {
        violate("bytes stay on their connection", handle, "it has got those of \(message)")
      }
      heard.add()
      field.messages.add()
      return true
    case .bytes, .end, .failed:
      violate("messages stay whole, and nobody hangs up", handle, "\(loop)")
      return false
    case .wouldBlock:
      return false
    }
  }

  override func retire() {
    if isInside { violate("nobody inside at the close", nil, "owner \(owner)") }
    isRetired = true
  }

  override func departed(_ handle: FDHandle, _ departure: Departure) {
    if departure != .closed { violate("the poller alone closes", handle, "\(departure)") }
    field.descriptors.close()
    course.baton(self, hasDepartedOn: EventLoop.current)
    field.departures.close()
  }
}
