/// How long it takes to make an idle connection of another loop one's own, and to make a new one to
/// the same server instead, as fd-takeover measures them in turn.
struct Takeovers {
  /// Medians of each round, in microseconds.
  var takeover: Series?
  /// Until the connection can be written to, before the kernel poller has been told.
  var usable: Series?
  var connect: Series?
  /// Of the loop with nothing to do, which is part of a takeover as it is measured.
  var round: Series?
  /// Why there are none.
  var failure: String?

  var ratio: Series? {
    guard let takeover, let connect else { return nil }
    return takeover.divided(by: connect)
  }
}

extension Bench {
  func measureTakeovers() throws(Failure) -> Takeovers {
    var takeovers: [Double] = []
    var usable: [Double] = []
    var connects: [Double] = []
    var rounds: [Double] = []
    do throws(Failure) {
      for round in 0...plan.rounds {
        let server = try stage.serve(.epollEcho, .sameCore)
        defer { server.stop() }
        let child = try stage.start(
          "fd-takeover", ["\(server.port)", "--count", "\(plan.takeovers)"], on: .first,
          talks: true)
        defer { child.stop() }
        let values = LoadResult.numbers(in: try child.line(withinSeconds: 60))
        guard let takeover = values["takeover"], let connect = values["connect"],
          let use = values["usable"], let empty = values["round"]
        else {
          throw Failure("fd-takeover gave no figures\(child.lastWords)")
        }
        // The first only warms up.
        if round > 0 {
          takeovers.append(takeover)
          usable.append(use)
          connects.append(connect)
          rounds.append(empty)
        }
      }
    } catch {
      try Interruption.check()
      return Takeovers(failure: error.description)
    }
    return Takeovers(
      takeover: Series(takeovers), usable: Series(usable), connect: Series(connects),
      round: Series(rounds))
  }
}
