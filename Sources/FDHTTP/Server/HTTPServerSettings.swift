public import Logging

/// How a server treats its clients.
public struct HTTPServerSettings: Sendable {
  /// The most that is accepted of a message.
  public var limits = HTTPLimits()
  /// From the first byte of a request to the end of its head; then 408. Nil is for ever.
  public var headTimeout: Duration? = .seconds(10)
  /// Between two pieces of a body that is waited for; then 408. Nil is for ever.
  public var bodyTimeout: Duration? = .seconds(30)
  /// Between two requests; then the connection is closed. Nil is for ever.
  public var keepAliveTimeout: Duration? = .seconds(60)
  /// What the field `Server` says; nil sends none. Without control characters.
  public var name: String?
  /// Told of refused requests, at level debug.
  public var logger = Logger(label: "http") { _ in SwiftLogNoOpLogHandler() }

  /// The settings as each says it is by default.
  public init() {}
}
