/// Measures contenders.
final class Bench {
  let stage: Stage
  let plan: Plan
  /// Why system calls are not counted; nil if they are.
  let whyNoSystemCalls: String?
  private var repeatsLeft: Int

  init(on stage: Stage, _ plan: Plan) {
    self.stage = stage
    self.plan = plan
    repeatsLeft = plan.repeatsInAll
    whyNoSystemCalls = SystemCallCounter.whatIsMissing(on: stage)
  }

  /// All contenders in turn, round by round, after a round that only warms up and says how many
  /// requests fill the time.
  ///
  /// - Parameter say: gets a line about each contender that drops out, and about progress.
  func run(_ comparison: Comparison, say: (String) -> Void) throws(Failure) -> ComparisonResult {
    var outcomes = comparison.contenders.map { Outcome(contender: $0) }
    var totals = outcomes.map { max(2_000, 2 * $0.contender.load.connections) }
    for round in 0...plan.rounds {
      for index in outcomes.indices where outcomes[index].failure == nil {
        let contender = outcomes[index].contender
        do throws(Failure) {
          if let reason = stage.whatLacks(contender.subject) { throw Failure(reason) }
          let sample = try again(contender, total: totals[index], say)
          if round == 0 {
            totals[index] = max(totals[index], Int(sample.perSecond * plan.seconds))
          } else {
            outcomes[index].samples.append(sample)
          }
        } catch {
          try Interruption.check()
          outcomes[index].failure = error.description
          outcomes[index].samples = []
          say("  \(contender.name): left out: \(error)")
        }
      }
    }
    if comparison.axis == nil, whyNoSystemCalls == nil {
      for index in outcomes.indices where outcomes[index].failure == nil {
        outcomes[index].systemCalls = try systemCalls(
          outcomes[index].contender, total: max(2_000, totals[index] / 4))
      }
    }
    return ComparisonResult(comparison: comparison, outcomes: outcomes)
  }

  /// Forgives one failure.
  private func again(
    _ contender: Contender, total: Int, _ say: (String) -> Void
  ) throws(Failure) -> Sample {
    do throws(Failure) {
      return try undisturbed(contender, total: total)
    } catch {
      try Interruption.check()
      say("  \(contender.name): once more: \(error)")
      return try undisturbed(contender, total: total)
    }
  }

  /// Measures again if somebody else used the machine meanwhile, so often that a busy machine does
  /// not hold us up for ever.
  private func undisturbed(_ contender: Contender, total: Int) throws(Failure) -> Sample {
    for _ in 0..<plan.repeats {
      let sample = try self.sample(contender, total: total)
      guard sample.isDisturbed, repeatsLeft > 0 else { return sample }
      repeatsLeft -= 1
    }
    return try sample(contender, total: total)
  }

  /// Each sample has a server of its own, so that nothing is particular to one process.
  private func sample(_ contender: Contender, total: Int) throws(Failure) -> Sample {
    let placement = contender.placement
    let server = try stage.serve(
      contender.subject, placement, backends: contender.backends)
    defer { server.stop() }
    let pooled = try contender.fill.map { count throws(Failure) in
      try fill(server, contender, count)
    }
    let run = try LoadRun(
      contender.load, warmUp: max(1_000, total / 10), total: total, against: server, placement,
      on: stage)
    let result = try run.go()
    return Sample(
      cpuMicroseconds: result.cpuNanoseconds / result.load.requests / 1_000,
      perSecond: result.load.perSecond, p50: result.load.p50, p99: result.load.p99,
      p999: result.load.p999, pooled: pooled, isDisturbed: result.isDisturbed)
  }

  /// Has so many requests at a time fill a proxy's pool.
  ///
  /// - Returns: how many connections are idle there then.
  private func fill(
    _ server: Server, _ contender: Contender, _ count: Int
  ) throws(Failure) -> Int {
    let before = server.processes.descriptors
    let load = Load(kind: contender.load.kind, connections: count)
    _ = try LoadRun(load, total: 4 * count, against: server, contender.placement, on: stage).go()
    // The clients have gone; the proxy learns of it.
    try Interruption.sleep(milliseconds: 50)
    return server.processes.descriptors - before
  }

  /// Per request. Nil if it cannot be said.
  private func systemCalls(_ contender: Contender, total: Int) throws(Failure) -> Double? {
    do throws(Failure) {
      let server = try stage.serve(contender.subject, contender.placement)
      defer { server.stop() }
      let run = try LoadRun(
        contender.load, warmUp: 1_000, total: total, against: server, contender.placement,
        on: stage)
      let counter = try SystemCallCounter(server.processes, on: stage)
      let requests = try run.go().load.requests
      return counter.finish().map { $0 / requests }
    } catch {
      try Interruption.check()
      return nil
    }
  }
}
