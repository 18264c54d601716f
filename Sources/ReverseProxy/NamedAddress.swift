package import FDNet
import FDPoller
import SystemPackage

/// An address as it was written, and what that means: several addresses if it is a host name.
package struct NamedAddress: Sendable {
  package let name: String
  /// At least one, the one to try first in front.
  package let addresses: [SocketAddress]

  package init(name: String, addresses: [SocketAddress]) {
    precondition(!addresses.isEmpty)
    self.name = name
    self.addresses = addresses
  }

  /// Opens a listener at each address that this machine has, at least at one.
  ///
  /// - Throws: what the body throws for an address that it has, or for the last if it has none.
  func listen(
    _ open: (SocketAddress) throws(ListenError) -> Listener
  ) throws(ListenError) -> [Listener] {
    var listeners: [Listener] = []
    var missing: ListenError?
    for address in addresses {
      do {
        listeners.append(try open(address))
      } catch {
        switch error.cause {
        case .refused(.addressNotAvailable), .refused(.addressFamilyNotSupported): missing = error
        default:
          for listener in listeners { listener.close() }
          throw error
        }
      }
    }
    if listeners.isEmpty, let missing { throw missing }
    return listeners
  }

  package init(_ address: SocketAddress) { self.init(name: "\(address)", addresses: [address]) }
}
