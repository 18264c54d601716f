/// How a `SingleFlight` fetches, and what it keeps.
public struct SingleFlightSettings: Sendable, Equatable {
  /// How long one execution, or one question whether a value may be forgotten, may take. An
  /// execution is cancelled then, and its callers fail, whatever their own deadlines are.
  public var executionLimit: Duration = .seconds(30)
  /// How long after a failure the next execution for that key begins; nil for at once. A caller
  /// waits for that within its deadline.
  public var backOff: BackOff?
  /// How many executions of one key may have been cancelled and be running all the same. More
  /// callers for that key fail at once, so that a function that ignores cancellation does not
  /// collect tasks without end.
  public var abandonedLimit = 4

  /// Whether values are kept. Failures and cancellations never are.
  public var keepsValues = false
  /// The part of its lifetime, from the beginning of the execution, for which a value is used.
  public var usableShare = 0.9
  /// The lifetime of values that do not tell theirs.
  public var unknownLifetime: Duration = .seconds(60)
  /// After this part of the time for which a value is used, the next caller gets it and sets off an
  /// execution for the one after it. With 1 or more there is none.
  public var refreshShare = 0.8
  /// For how many keys values, and failures to back off from, are kept. The one used longest ago
  /// goes first.
  public var capacity = 10_000
  /// What has not been used for so long is forgotten at the next collection.
  public var idleLimit: Duration = .seconds(600)
  /// How often is looked for what may be forgotten.
  public var collectionInterval: Duration = .seconds(300)

  /// The settings as each says it is by default.
  public init() {}

  /// Values are kept; the rest as by default.
  public static var caching: SingleFlightSettings {
    var settings = SingleFlightSettings()
    settings.keepsValues = true
    return settings
  }
}
