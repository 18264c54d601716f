import FDPoller
import Synchronization

extension Listener {
  /// Leaves clients in the kernel's queue, or goes on accepting. Takes effect on each loop when it
  /// reads its mail; who is accepted until then is accepted. Callable from any thread.
  package func setAccepting(_ isAccepting: Bool) {
    shared.isHeld.store(!isAccepting, ordering: .sequentiallyConsistent)
    for (socket, handle) in sockets {
      guard isAccepting else {
        poller.stop(.read, handle)
        continue
      }
      // A loop that pauses for want of descriptors goes on by itself.
      for loop in poller.loops where loop.owns(handle) && !socket.isPaused(loop) {
        loop.run { loop.want(.read, handle) }
      }
    }
  }
}
