/// An incident, as somebody outside sees it: a small server with real sockets, many sessions that
/// behave, and one peer that does not. The sessions must not notice.
public protocol Wedge: Sendable {
  /// As on the command line.
  static var name: String { get }
  /// What is wedged, in one line.
  static var summary: String { get }

  /// Starts the server, and what it needs.
  init(_ stage: WedgeStage) async throws

  /// Is one session that behaves, on the loop that it prefers: gives its exchanges to the pace, and
  /// returns when that does.
  ///
  /// - Parameters:
  ///   - number: 0 and up.
  ///   - pace: calls for one exchange after the other, and measures them.
  func visit(_ number: Int, _ pace: WedgePace) async throws

  /// Drives the wedge in. Whoever is wedged is opened on the stage's list, and closed there when
  /// the server has ended it.
  func drive() async throws

  /// Pulls the wedge out.
  func pull() async

  /// Ends everything, after the last session.
  func end() async throws
}

/// All wedges there are.
public enum WedgeCatalogue {
  /// In the order in which they are listed and run.
  public static let wedges: [any Wedge.Type] = [
    AuthorisationWedge.self,
    RegistryWedge.self,
    CacheWedge.self,
    StreamWedge.self,
    VanishedPeerWedge.self,
  ]
}

/// Why something of a wedge's set-up or a session does not work, in words.
struct WedgeFailure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}
