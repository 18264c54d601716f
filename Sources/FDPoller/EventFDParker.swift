import CShims
import SystemPackage

/// Ends a loop's wait through an eventfd that its kernel poller watches.
///
/// The eventfd is watched edge-triggered where the kernel poller can, so nobody has to read it.
package struct EventFDParker: ~Copyable, Parker {
  package let fd: Int32

  package init() throws(PollerError) {
    fd = fdp_eventfd()
    guard fd >= 0 else {
      throw .kernelRefused("create an eventfd to wake a loop", Errno(rawValue: -fd))
    }
  }

  package borrowing func unpark() {
    let result = fdp_eventfd_signal(fd)
    assert(result == 0 || result == -EAGAIN, "a full eventfd wakes too; nothing else can go wrong")
  }

  deinit {
    _ = fdp_close(fd)
  }
}
