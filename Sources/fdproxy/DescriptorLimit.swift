import FDPoller

/// The limit of open descriptors.
enum DescriptorLimit {
  /// Below this not even a handful of sessions fits beside the program's own descriptors.
  private static let least = 64
  private static let most = 1 << 20

  /// Raises the soft limit as far as it goes.
  static func raise() throws(Failure) {
    let limit = Poller.raiseDescriptorLimit(to: most)
    guard limit >= least else {
      throw .runtime(
        "the limit of open descriptors is \(limit), and at least \(least) are needed: "
          + "raise it, for example with ulimit -n 1024")
    }
  }
}
