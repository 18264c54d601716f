import FDAsync
import FDCoordination
import FDNet
import FDPoller

/// Every line is a token, which the server has authorised by a process: the executions go through a
/// `SingleFlight`. One authoriser is stopped in the middle of its work, and clients vanish in the
/// middle of theirs. The old shape is one lock around the fetch.
final class AuthorisationWedge: Wedge {
  static let name = "authorisation"
  static let summary = "an authoriser that is stopped, and clients that vanish within their token"

  private let stage: WedgeStage
  private let authoriser: WedgeChild
  private let stuckAuthoriser: WedgeChild
  private let flight: SingleFlight<String, String>
  private let listeners: [AsyncListener]
  private let serving: Task<Void, Never>
  private let guests = Kept<[WedgeChild]>([])
  private let stuckQuestions: Tally

  private static let stuckToken = "stuck"
  private static let caller = "a caller whose authoriser is stopped"
  private static let stopped = "a client that is stopped within its token"
  private static let cutOff = "a client that loses its network within its token"

  init(_ stage: WedgeStage) async throws {
    self.stage = stage
    let io = stage.parameters.io
    authoriser = try WedgeChild(.authoriser(io), on: stage)
    stuckAuthoriser = try WedgeChild(.authoriser(io), on: stage)
    let usual = try SocketAddress(parsing: try await authoriser.ready())
    let stuck = try SocketAddress(parsing: try await stuckAuthoriser.ready())
    let pool = ConnectionPool(on: stage.server)
    let stuckQuestions = Tally()
    self.stuckQuestions = stuckQuestions
    let flight = SingleFlight<String, String> { token in
      // A detached task is on no loop, and the pool is borrowed from on one.
      try await withTaskExecutorPreference(stage.nextServerLoop()) {
        let isStuck = token == Self.stuckToken
        if isStuck { stuckQuestions.add() }
        return try await Self.fetch(token, isStuck ? stuck : usual, pool)
      }
    }
    self.flight = flight
    let addresses = [.loopback(port: 0)] + (stage.network.map { [$0.address] } ?? [])
    let listeners = try addresses.map { try AsyncListener($0, on: stage.server) }
    self.listeners = listeners
    serving = Task {
      await withTaskGroup { group in
        for listener in listeners {
          group.addTask {
            await listener.serve { try await Self.serve($0, flight, stage) }
          }
        }
      }
    }
  }

  private static func fetch(
    _ token: String, _ address: SocketAddress, _ pool: ConnectionPool
  ) async throws -> String {
    try await pool.withConnection(to: address, deadline: .seconds(10)) { connection in
      var lines = LineReader()
      connection.write(token + "\n")
      guard let answer = try await lines.next(connection) else {
        throw WedgeFailure("the authoriser has gone")
      }
      return answer
    }
  }

  private static func serve(
    _ connection: AsyncConnection, _ flight: SingleFlight<String, String>, _ stage: WedgeStage
  ) async throws {
    var lines = LineReader()
    do {
      // Nobody has to say anything, but who has begun has to come to an end.
      while let token = try await lines.next(connection, restWithin: stage.bound) {
        let deadline = stage.deadline(isWedged: token == Self.stuckToken)
        do {
          let name = try await stage.guarded {
            try await flight.value(for: token, deadline: deadline)
          }
          connection.write("welcome \(name)\n")
        } catch {
          connection.write("\(error)\n")
        }
      }
    } catch {
      stage.wedged.close(String(decoding: lines.pending, as: UTF8.self), "\(error)")
      throw error
    }
  }

  func visit(_ number: Int, _ pace: WedgePace) async throws {
    var client = try await LineClient(to: listeners[0].address)
    // A few clients have the same token.
    let token = "token-\(number / 4)"
    try await pace.keep(number) { _ in
      try await client.ask(token, expecting: "welcome \(token)")
    }
    client.close()
  }

  func drive() async throws {
    let (questions, before) = (stuckQuestions, stuckQuestions.count)
    stuckAuthoriser.stop()
    try await stage.ask(listeners[0].address, as: Self.caller, [Self.stuckToken])
    guard await waitUntil(within: .seconds(30), { questions.count > before }) else {
      throw WedgeFailure("the server does not come to ask the authoriser that is stopped")
    }
    try await beGuest(Self.stopped, listeners[0].address).stop()
    guard let network = stage.network else { return }
    _ = try await beGuest(Self.cutOff, listeners[1].address, prefix: network.inside)
    try await network.cut()
  }

  /// A client of which half a token has come, its own name.
  private func beGuest(
    _ name: String, _ address: SocketAddress, prefix: [String] = []
  ) async throws -> WedgeChild {
    let guest = try WedgeChild(.guest(address, [name]), on: stage, prefix: prefix)
    guests.withLock { $0.append(guest) }
    _ = try await guest.ready()
    stage.wedged.open(name)
    return guest
  }

  func pull() async {
    stuckAuthoriser.resume()
    for guest in guests.take() { guest.end() }
    try? await stage.network?.mend()
  }

  func end() async throws {
    for listener in listeners { listener.close() }
    serving.cancel()
    await serving.value
    authoriser.end()
    stuckAuthoriser.end()
  }
}
