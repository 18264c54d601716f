import CShims
import FDPoller
import Glibc
import Synchronization
public import SystemPackage

extension Listener {
  /// Stops listening. Clients that the kernel has already queued are still accepted.
  public func close() { close {} }

  /// See `close()`.
  ///
  /// - Parameter completion: called once, on any thread, when nobody will be accepted any more. Not
  ///   called if the listener was closed or handed over before.
  package func close(_ completion: @escaping @Sendable () -> Void) {
    guard !shared.isClosed.exchange(true, ordering: .relaxed) else { return }
    if let path = address.unixPath { unlink(path) }
    let remaining = Remaining(sockets.count, completion)
    // No more were queued than that; who comes later is not waited for.
    let bound = Int(Int32(clamping: backlog)) + 1
    for (socket, handle) in sockets {
      let owner = poller.loops.first { $0.owns(handle) }
      let isRunning = owner?.run {
        guard let owner else { return }
        owner.quiet(handle) {
          defer { remaining.subtract() }
          guard owner.owns(handle) else { return }
          let atHand = owner.clientsAtHand(of: handle)
          socket.acceptAll(handle, on: owner, bound: bound + atHand)
          owner.delete(handle)
        }
      }
      if isRunning != true {
        poller.delete(handle)
        remaining.subtract()
      }
    }
  }
}

// MARK: - Handing over

extension Listener {
  /// Copies of the listening descriptors, to be passed to a successor (SCM_RIGHTS, unix(7)), which
  /// adopts them. This listener goes on.
  ///
  /// - Returns: one per socket, close-on-exec, the caller's to close.
  /// - Throws: `ListenError` if there are no descriptors left, or the listener is closed.
  public func duplicatedDescriptors() throws(ListenError) -> [FileDescriptor] {
    var copies: [FileDescriptor] = []
    do throws(Errno) {
      for (_, handle) in sockets {
        let copy = fdp_duplicate(handle.fd, 0)
        guard copy >= 0 else { throw Errno(rawValue: -copy) }
        copies.append(FileDescriptor(rawValue: copy))
        // The number is given up before the descriptor is closed: until then it was this socket's.
        guard poller.core.isCurrent(handle) else { throw .badFileDescriptor }
      }
    } catch {
      for copy in copies { _ = fdp_close(copy.rawValue) }
      throw ListenError(address: address, cause: .refused(error))
    }
    return copies
  }

  /// Stops listening in favour of a successor that has adopted copies of the descriptors: nobody is
  /// refused meanwhile. A Unix socket's file stays.
  ///
  /// Clients that are queued when the kernel has forgotten that this process waits for them are
  /// still accepted here: the kernel may have woken this process for them and nobody else.
  ///
  /// - Parameter completion: called once, on any thread, when nothing will be accepted any more and
  ///   the descriptors are closed: until then the poller should run. Not called if the listener was
  ///   closed or handed over before.
  public func handOver(_ completion: @escaping @Sendable () -> Void = {}) {
    guard !shared.isClosed.exchange(true, ordering: .relaxed) else { return }
    let remaining = Remaining(sockets.count, completion)
    let bound = Int(Int32(clamping: backlog)) + 1
    for (socket, handle) in sockets {
      let owner = poller.loops.first { $0.owns(handle) }
      let isRunning = owner?.run {
        guard let owner else { return }
        owner.quiet(handle) {
          guard owner.owns(handle) else { return remaining.subtract() }
          // They are out of the kernel's queue already.
          socket.acceptAll(handle, on: owner, bound: owner.clientsAtHand(of: handle))
          socket.lastAccepts = bound
          socket.whenGone = { remaining.subtract() }
          guard self.poller.disown(handle) else {
            socket.whenGone = {}
            return remaining.subtract()
          }
        }
      }
      if isRunning != true {
        poller.delete(handle)
        remaining.subtract()
      }
    }
  }

  /// Counts down to a call.
  private final class Remaining: Sendable {
    private let count: Atomic<Int>
    private let then: @Sendable () -> Void

    init(_ count: Int, _ then: @escaping @Sendable () -> Void) {
      self.count = Atomic(count)
      self.then = then
    }

    func subtract() {
      if count.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { then() }
    }
  }
}
