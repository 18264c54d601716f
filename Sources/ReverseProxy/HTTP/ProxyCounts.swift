package import FDHTTP

/// What one loop has counted: it alone writes, anybody reads.
///
/// When everything has come to rest, the service's requests and `refusedHeads` are as many as the
/// `answers` and `unanswered`.
package final class ProxyCounts: Sendable {
  /// Answers by the hundreds of their status, from 1xx to 5xx.
  package let answers = (0..<5).map { _ in LoopCount() }
  /// Requests that were sent once more.
  package let retries = LoopCount()
  /// Answers that the proxy itself gave.
  package let ownAnswers = LoopCount()
  /// Requests that ended without an answer, because the client had gone.
  package let unanswered = LoopCount()
  /// What was refused before it was a request, and answered.
  package let refusedHeads = LoopCount()
  /// Clients that were one too many.
  package let clientsTurnedAway = LoopCount()
  /// Answers that were cut off in the middle, because the backend did not go on.
  package let cutOff = LoopCount()
  /// Requests that waited for a place at a backend.
  package let queued = LoopCount()
  package let tunnels = LoopCount()
  /// Of bodies and tunnels.
  package let bytesFromClients = LoopCount()
  package let bytesToClients = LoopCount()

  /// The proxy answers in its own name.
  func noteOwnAnswer(_ status: HTTPStatus) {
    ownAnswers.add(1)
    noteAnswer(status)
  }

  func noteAnswer(_ status: HTTPStatus) { answers[Int(status.rawValue) / 100 - 1].add(1) }
}
