import CShims
import FDDelays
import FDNet
import FDPoller
import Synchronization
import SystemPackage

/// A place for one connection at a time: the poller has its near end, and here is its far end, which
/// stands for the peer. Callable from any thread.
final class House: @unchecked Sendable {
  /// To which every near end of this house goes.
  let loop: EventLoop
  /// It is opened only in place of another one that has just been deleted, to get its number.
  let isSpare: Bool
  /// It is deleted only when its own peer has hung up, so that it shows if it hears nothing.
  let isLeftAlone: Bool
  private let lock = PlatformLock()

  // Under the lock.
  private var tenant: Tenant?
  private var near = FDHandle.none
  private var far: Int32 = -1
  private var written = 0
  private var isCondemned = false

  init(_ number: Int, of loop: EventLoop) {
    isSpare = number % 2 == 1
    isLeftAlone = number % 10 == 0
    self.loop = loop
  }

  /// The near end, if there is one.
  var handle: FDHandle? { lock.withLock { tenant == nil ? nil : near } }

  /// Opens a connection, if the house is empty.
  ///
  /// - Returns: whether it was.
  @discardableResult
  func open(in street: Street) -> Bool {
    lock.withLock {
      guard tenant == nil, street.stage.isStormy else { return false }
      var ends: [Int32] = [-1, -1]
      let result = fdp_socketpair(Int32(AF_UNIX), Int32(SOCK_SEQPACKET.rawValue), &ends)
      guard result == 0 else {
        street.stage.violate(
          "descriptors are to be had", "socketpair says \(Errno(rawValue: -result))")
        return true
      }
      let newcomer = Tenant(street.newID(), of: self, in: street)
      do {
        let end = FileDescriptor(rawValue: ends[0])
        near =
          loop.isCurrent
          ? try loop.insert(end, handler: newcomer)
          : try street.poller.insert(end, handler: newcomer, on: .loop(loop))
      } catch {
        for end in ends { _ = fdp_close(end) }
        street.stage.violate(
          "a number that the kernel hands out is free in the table", "\(error)")
        return true
      }
      street.departures.open()
      street.descriptors.open()
      street.operations.add()
      Chronicle.note("opened a connection at", near.rawValue)
      (tenant, far, written, isCondemned) = (newcomer, ends[1], 0, false)
      return true
    }
  }

  /// The peer writes whose connection it is.
  func write() {
    lock.withLock {
      guard let tenant, far >= 0 else { return }
      var message = tenant.id
      if fdp_send(far, &message, 8, 0) == 8 { written += 1 }
    }
  }

  /// The peer hangs up.
  func hangUp() {
    lock.withLock {
      guard let tenant, far >= 0 else { return }
      // Before it can be heard.
      tenant.peerHasGone.store(true, ordering: .releasing)
      Chronicle.note("hung up as the peer of", near.rawValue)
      _ = fdp_close(far)
      far = -1
    }
  }

  /// Notes that the connection is about to be deleted: nothing is owed to it any more.
  ///
  /// - Returns: its handle.
  func condemn() -> FDHandle? {
    lock.withLock {
      guard tenant != nil else { return nil }
      isCondemned = true
      return near
    }
  }

  /// The near end has departed.
  func vacate(_ leaver: Tenant) {
    lock.withLock {
      guard tenant === leaver else { return }
      if far >= 0 { _ = fdp_close(far) }
      far = -1
      tenant = nil
    }
  }

  /// What the poller has still to tell.
  struct Debt {
    let handle: FDHandle
    let id: UInt64
    let written: Int
    let heard: Int
    let peerHasGone: Bool

    /// Whether nothing of an earlier debt has been heard since.
    func isStill(_ earlier: Debt) -> Bool { handle == earlier.handle && heard == earlier.heard }
  }

  /// What the tenant has not heard yet.
  var debt: Debt? {
    lock.withLock {
      guard let tenant, !isCondemned else { return nil }
      let debt = Debt(
        handle: near, id: tenant.id, written: written, heard: tenant.heard.count,
        peerHasGone: far < 0)
      return debt.peerHasGone || debt.heard < debt.written ? debt : nil
    }
  }
}
