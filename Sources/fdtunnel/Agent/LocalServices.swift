import FDAsync
import FDCoordination
import FDNet
import FDPoller
import Logging

/// The services that an agent leads clients to.
///
/// Where a service is, is found out when the first client wants it, and kept while clients come; a
/// service that refuses a connection may have moved, so the next client has it looked up anew.
final class LocalServices: Sendable {
  /// What is known of one.
  struct Service: Sendable {
    let name: SessionID
    /// At least one.
    let addresses: [SocketAddress]
    let clients: Clients
  }

  /// Those that a service has, bounded.
  final class Clients: Sendable {
    private let census = Census()
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    func enter() -> Bool { census.enter(limit: limit) }

    func leave() { census.leave() }
  }

  private let texts: [SessionID: String]
  private let cache: ResourceCache<SessionID, Service>
  private let connectTimeout: Duration

  /// - Parameters:
  ///   - services: where each is, as it was written.
  ///   - limit: how many clients each has at a time.
  ///   - connectTimeout: how long a look-up, and a connection to one address, may take.
  init(_ services: [SessionID: String], limit: Int, connectTimeout: Duration, _ logger: Logger) {
    texts = services
    self.connectTimeout = connectTimeout
    // A service that is looked up anew has the clients that it has.
    let clients = services.mapValues { _ in Clients(limit: limit) }
    cache = ResourceCache(
      capacity: services.count,
      start: { name in
        guard let text = services[name], let clients = clients[name] else { throw Unknown() }
        let addresses = try await Resolver.resolve(text, within: connectTimeout)
        logger.info("service found", metadata: ["name": "\(name)", "addresses": "\(addresses)"])
        return Service(name: name, addresses: addresses, clients: clients)
      },
      stop: { name, _ in logger.info("service given up", metadata: ["name": "\(name)"]) })
  }

  private struct Unknown: Error {}

  /// Why a client cannot have it.
  struct Unavailable: Error, CustomStringConvertible {
    let reset: StreamReset
    let description: String
  }

  /// Calls the body with a connection to a service, which runs on the loop.
  ///
  /// - Throws: `Unavailable`, and what the body throws.
  nonisolated(nonsending) func withConnection(
    to name: SessionID, on loop: EventLoop,
    _ body: nonisolated(nonsending) (AsyncConnection) async throws -> Void
  ) async throws {
    guard let text = texts[name] else {
      throw Unavailable(reset: .unknownService, description: "there is no --service \(name)")
    }
    let service: Service
    do {
      // The lease ends here: what was evicted is not looked up anew while anybody holds a lease.
      service = try await cache.lease(name, deadline: connectTimeout * 2).resource
    } catch .failed(_, let cause) {
      throw Unavailable(reset: .unreachableService, description: "\(cause)")
    } catch .cancelled {
      throw CancellationError()
    } catch {
      throw Unavailable(reset: .unreachableService, description: "\(error)")
    }
    guard service.clients.enter() else {
      throw Unavailable(reset: .busyService, description: "\(text) has its --limit of clients")
    }
    defer { service.clients.leave() }
    try await body(try await connect(to: service, on: loop))
  }

  /// The first of its addresses that can be connected to.
  private nonisolated(nonsending) func connect(
    to service: Service, on loop: EventLoop
  ) async throws -> AsyncConnection {
    var last: ConnectError?
    for address in service.addresses {
      do {
        return try await Connector.connect(
          to: address, on: loop, deadline: connectTimeout, settings: Carrier.connectionSettings)
      } catch {
        if error.cause == .cancelled { throw CancellationError() }
        last = error
      }
    }
    cache.evict(service.name)
    let reason = last.map { "\($0)" } ?? "it has no address"
    throw Unavailable(reset: .unreachableService, description: reason)
  }

  /// Lets go of all. After the last client.
  nonisolated(nonsending) func shutDown() async {
    try? await cache.shutDown(deadline: .seconds(1))
  }
}
