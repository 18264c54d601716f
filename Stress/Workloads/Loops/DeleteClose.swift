import CShims
import FDPoller
import SystemPackage

/// Descriptors on their way out: deleted on their loop, with nobody inside.
final class DeleteClose: Repetitions, @unchecked Sendable {
  private let loops: Loops
  private let handler = DescriptorHandler()
  fileprivate var handles: [FDHandle] = []

  init() throws { loops = try Loops() }

  func prepare(_ count: Int) {
    let loop = loops.first
    loops.on(loop) { [self] in
      handles = (0..<count).map { _ in
        do {
          return try loop.insert(FileDescriptor(rawValue: fdp_eventfd()), handler: handler)
        } catch {
          preconditionFailure("\(error)")
        }
      }
      // The kernel learns of them.
      loop.tickWithoutWaiting()
    }
  }

  func run(_ count: Int) -> Duration {
    let loop = loops.first
    return loops.on(loop) { [self] in timed { deleteAndClose(self, loop) } }
  }

  func end() { loops.end() }
}

@_silgen_name("workload_delete_close")
@inline(never)
func deleteAndClose(_ it: DeleteClose, _ loop: EventLoop) {
  for handle in it.handles { loop.delete(handle) }
  loop.tickWithoutWaiting()
}
