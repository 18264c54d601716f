import FDAsync
import FDCoordination
import FDNet
import FDPoller
import Synchronization

/// Sessions come, are found by others, and go. One has reserved its id and never finishes its
/// handshake, and one never reads what it has asked for. The old shape is one lock, held across a
/// handshake and taken by every look.
final class RegistryWedge: Wedge {
  static let name = "registry"
  static let summary = "a session that never finishes its handshake, and one that never reads"

  private let stage: WedgeStage
  private let registry: SessionRegistry<String, Member>
  private let listener: AsyncListener
  private let serving: Task<Void, Never>
  private let guests = Kept<[WedgeChild]>([])
  /// How many sessions look for nobody any more.
  private let through = Kept(0)

  private static let halfway = "a session that is stopped in its handshake"
  private static let waiting = "who waits for that session"
  private static let deaf = "a session that never reads"
  /// A session leaves after so many looks, and comes again.
  private static let stay = 20

  final class Member: RegisteredSession {
    private let hasLeft = Atomic(false)
    var isClosed: Bool { hasLeft.load(ordering: .acquiring) }
    func registryDidShutDown() {}
    func leave() { hasLeft.store(true, ordering: .releasing) }
  }

  init(_ stage: WedgeStage) async throws {
    self.stage = stage
    let registry = SessionRegistry<String, Member>()
    self.registry = registry
    let settings = ConnectionSettings(writeDeadline: stage.bound)
    let listener = try AsyncListener(.loopback(port: 0), on: stage.server, settings: settings)
    self.listener = listener
    serving = Task { await listener.serve { try await Self.serve($0, registry, stage) } }
  }

  // MARK: The server

  private static func serve(
    _ connection: AsyncConnection, _ registry: SessionRegistry<String, Member>,
    _ stage: WedgeStage
  ) async throws {
    var lines = LineReader()
    guard let id = try await lines.next(connection) else { return }
    let member = Member()
    let registration: Registration<String>
    do {
      registration = try await stage.guarded {
        try await registry.withReservation(id) { reservation in
          guard try await lines.next(connection, within: stage.bound) == "secret" else {
            throw WedgeFailure("no handshake")
          }
          return try reservation.activate(member)
        }
      }
    } catch {
      stage.wedged.close(id, "\(error)")
      connection.write("\(error)\n")
      throw error
    }
    defer {
      member.leave()
      registry.remove(registration)
    }
    connection.write("welcome\n")
    do {
      while let line = try await lines.next(connection) {
        switch line {
        case "leave":
          member.leave()
          registry.remove(registration)
          connection.write("bye\n")
        case "pour": try await pour(connection)
        default: await look(line, connection, registry, stage)
        }
      }
    } catch {
      stage.wedged.close(id, "\(error)")
      throw error
    }
  }

  private static func pour(_ connection: AsyncConnection) async throws {
    let block = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      connection.write(block)
      try await connection.drained()
    }
  }

  private static func look(
    _ id: String, _ connection: AsyncConnection, _ registry: SessionRegistry<String, Member>,
    _ stage: WedgeStage
  ) async {
    do {
      try await stage.guarded {
        _ = try await registry.session(
          for: id, deadline: stage.deadline(isWedged: id == Self.halfway))
      }
      connection.write("found \(id)\n")
    } catch {
      connection.write("\(error)\n")
    }
  }

  // MARK: The sessions

  func visit(_ number: Int, _ pace: WedgePace) async throws {
    let count = stage.parameters.sessions
    var hasLooked = false
    defer { if !hasLooked { through.withLock { $0 += 1 } } }
    var client = try await join(number)
    try await pace.keep(number) { turn in
      // Somebody else each time, who may be about to come.
      let other = "\((number + turn * 7 + 1) % count)"
      try await client.ask(other, expecting: "found \(other)")
      guard turn % Self.stay == number % Self.stay else { return }
      try await client.ask("leave", expecting: "bye")
      client.close()
      client = try await join(number)
    }
    hasLooked = true
    through.withLock { $0 += 1 }
    // Others may still look for this one.
    while through.withLock({ $0 < count }) {
      try await stage.clientLoop(number).sleep(for: .milliseconds(1))
    }
    client.close()
  }

  nonisolated(nonsending) private func join(_ number: Int) async throws -> LineClient {
    var client = try await LineClient(to: listener.address)
    try await client.ask("\(number)\nsecret", expecting: "welcome")
    return client
  }

  // MARK: The wedge

  func drive() async throws {
    try await beGuest(Self.halfway, [])
    try await beGuest(Self.deaf, ["secret", "pour", ""])
    try await stage.ask(
      listener.address, as: Self.waiting, ["\(Self.waiting)\nsecret", Self.halfway])
  }

  /// A client that says its name and then these lines, and is stopped.
  private func beGuest(_ name: String, _ lines: [String]) async throws {
    let guest = try WedgeChild(
      .guest(listener.address, [name] + (lines.isEmpty ? [""] : lines)), on: stage)
    guests.withLock { $0.append(guest) }
    _ = try await guest.ready()
    guest.stop()
    stage.wedged.open(name)
  }

  func pull() async {
    for guest in guests.take() { guest.end() }
  }

  func end() async throws {
    registry.shutDown()
    listener.close()
    serving.cancel()
    await serving.value
  }
}
