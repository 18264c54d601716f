/// Why a registry has no session to give, or takes none.
public enum SessionRegistryError: Error, Equatable, Sendable {
  /// Somebody else holds the id and shakes hands under it.
  case reserved(id: String)
  /// An open session has the id.
  case active(id: String)
  /// No session came under the id within the deadline.
  ///
  /// - Parameters:
  ///   - waited: for how long.
  ///   - isReserved: whether somebody was shaking hands under the id at the end.
  case timedOut(id: String, waited: Duration, isReserved: Bool)
  /// The task that waited was cancelled.
  case cancelled(id: String, waited: Duration)
  /// The registry has been shut down.
  ///
  /// - Parameter waited: for how long until then; zero if it was shut down before.
  case shutDown(id: String, waited: Duration)
  /// This reservation has been activated before.
  case spent(id: String)
}

extension SessionRegistryError: CustomStringConvertible {
  /// One line: which id, how long waited, why, and what to do.
  public var description: String {
    switch self {
    case .reserved(let id):
      "session \(id) is being set up by another connection: "
        + "try again when that one has finished, or use another id"
    case .active(let id):
      "session \(id) is connected already: close that one first, or use another id"
    case .timedOut(let id, let waited, let isReserved):
      "no session \(id) after \(waited.brief): "
        + (isReserved
          ? "it has connected, and its handshake has not finished; see what that waits for"
          : "nobody has connected under that id; check the id, or wait longer")
    case .cancelled(let id, let waited):
      "the wait for session \(id) was cancelled after \(waited.brief)"
    case .shutDown(let id, let waited):
      "no session \(id): the registry was shut down"
        + (waited > .zero ? ", after a wait of \(waited.brief)" : "; make no more calls")
    case .spent(let id):
      "the reservation of session \(id) has been activated before: reserve the id anew"
    }
  }
}
