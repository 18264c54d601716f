import FDCoordination
import FDPoller

/// Says whether an agent may register under its id.
protocol Authority: Sendable {
  /// Runs in a task of its own, which is cancelled when it takes too long.
  ///
  /// - Throws: `TokenRefused` if it may not; anything else means that nobody knows.
  func check(_ credential: Credential) async throws
}

/// An id and the token that an agent has shown for it.
struct Credential: Hashable, Sendable, CustomStringConvertible {
  let id: SessionID
  let token: AgentToken

  /// Without the token: it gets into errors.
  var description: String { "agent \(id)" }
}

/// The authority has said no.
struct TokenRefused: Error {}

/// Asks the authority once for all agents that come with the same id and token at a time, and
/// remembers a yes for a while; a no is never remembered, nor is an authority that did not answer.
final class Gatekeeper: Sendable {
  private let flight: SingleFlight<Credential, Bool>
  private let limit: Duration
  private let checks: Census

  /// - Parameters:
  ///   - limit: how long the authority may take.
  ///   - memory: how long a yes holds.
  init(_ authority: any Authority, limit: Duration, memory: Duration) {
    var settings = SingleFlightSettings.caching
    settings.executionLimit = limit
    settings.keepsValues = memory > .zero
    settings.unknownLifetime = memory
    settings.usableShare = 1
    // Nobody's token is checked while he is away.
    settings.refreshShare = 1
    let checks = Census()
    flight = SingleFlight(settings) { credential in
      guard checks.enter() else { throw CancellationError() }
      defer { checks.leave() }
      try await authority.check(credential)
      return true
    }
    self.limit = limit
    self.checks = checks
  }

  /// Waits for the authority, or for an answer that another agent waits for already.
  ///
  /// - Throws: `Refusal`, for good only if the authority has said no; `CancellationError`.
  nonisolated(nonsending) func admit(_ credential: Credential) async throws {
    let beginning = ContinuousClock.now
    do {
      do {
        try await ask(credential)
      } catch .tookTooLong where ContinuousClock.now - beginning < limit {
        // It was begun for another agent, before this one came.
        try await ask(credential)
      }
    } catch .failed(_, let cause) where cause is TokenRefused {
      throw Refusal.forGood(
        "the token is not valid for \(credential.id): check --id and the file of --token-file")
    } catch .failed(_, let cause) {
      throw Self.unchecked("\(cause)")
    } catch .tookTooLong, .timedOut {
      throw Refusal.forNow(
        "the token could not be checked: the authorisation timed out after \(limit)")
    } catch .cancelled {
      throw CancellationError()
    } catch {
      throw Self.unchecked("\(error)")
    }
  }

  private nonisolated(nonsending) func ask(
    _ credential: Credential
  ) async throws(SingleFlightError) {
    // The limit is the execution's; nobody's patience is shorter.
    _ = try await flight.value(for: credential, deadline: limit * 2)
  }

  /// Who has shown no valid token is not told how the authority fails.
  private static func unchecked(_ cause: String) -> Refusal {
    let text = "the token could not be checked"
    return Refusal(
      description: "\(text); see the server's log", isForNow: true, cause: "\(text): \(cause)")
  }

  /// Begins no more checks.
  ///
  /// - Parameter whenDone: called once when the last one has come to its end.
  func close(_ whenDone: @escaping @Sendable () -> Void) { checks.close(whenDone) }
}
