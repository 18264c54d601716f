import FDPoller
import Logging

/// Runs a wedge: phases without and with it in turn, while the sessions go on.
public enum WedgeRun {
  /// Runs one. Callable from any task, and on an executor that the wedge does not hold.
  ///
  /// - Parameters:
  ///   - wedge: which.
  ///   - parameters: what to tell it.
  ///   - progress: told of each phase when it is over.
  /// - Returns: what came of it; `complaints` says whether that is as it should be.
  /// - Throws: what keeps it from being set up.
  public static func run(
    _ wedge: any Wedge.Type, _ parameters: WedgeParameters,
    progress: @escaping @Sendable (_ phase: Int) -> Void = { _ in }
  ) async throws -> WedgeReport {
    let network = parameters.hasNetwork ? try await SeparateNetwork() : nil
    let report: Result<WedgeReport, any Error>
    do {
      report = .success(
        try await withPoller(configuration(parameters, "wedge-server", threads: 2)) { server in
          try await withPoller(configuration(parameters, "wedge-client", threads: 1)) { clients in
            let stage = WedgeStage(parameters, server: server, clients: clients, network)
            return try await run(wedge, on: stage, progress)
          }
        })
    } catch {
      report = .failure(error)
    }
    await network?.remove()
    return try report.get()
  }

  /// Is a process that a wedge has started. Blocks the calling thread until the wedge has no more
  /// use for it.
  ///
  /// - Parameter arguments: those that came after `WedgeParameters.program`.
  /// - Throws: what keeps it from its work.
  public static func beChild(_ arguments: [String]) throws {
    guard let role = try WedgeChildRole(arguments) else {
      throw WedgeFailure("a child of a wedge is not started by hand: \(arguments)")
    }
    try role.run()
  }

  private static func configuration(
    _ parameters: WedgeParameters, _ name: String, threads: Int
  ) -> PollerConfiguration {
    var configuration = PollerConfiguration(threads: threads)
    configuration.io = parameters.io
    configuration.name = name
    configuration.logger = Logger(label: name) { _ in SwiftLogNoOpLogHandler() }
    return configuration
  }

  private static func run(
    _ type: any Wedge.Type, on stage: WedgeStage,
    _ progress: @escaping @Sendable (_ phase: Int) -> Void
  ) async throws -> WedgeReport {
    let wedge = try await type.init(stage)
    let pace = WedgePace(sessions: stage.parameters.sessions, rate: stage.parameters.rate)
    let result = await withTaskGroup(of: Bool.self) { sessions in
      for number in 0..<stage.parameters.sessions {
        sessions.addTask(executorPreference: stage.clientLoop(number)) {
          do {
            try await wedge.visit(number, pace)
          } catch {
            pace.fail(number, "session \(number) failed: \(error)")
          }
          return true
        }
      }
      let result = await Result(awaiting: {
        try await goThrough(wedge, stage, pace, progress)
      })
      pace.endRun()
      let patience = stage.parameters.patience
      sessions.addTask {
        try? await Task.sleep(for: patience)
        return false
      }
      var left = stage.parameters.sessions
      while left > 0, let isSession = await sessions.next() {
        if isSession {
          left -= 1
        } else {
          pace.fail(nil, "\(left) sessions still waited \(patience) after the end")
          sessions.cancelAll()
        }
      }
      sessions.cancelAll()
      return result
    }
    let ending = await Result(awaiting: { try await wedge.end() })
    let course = try result.get()
    try ending.get()
    return course.report(type.name, stage.parameters, pace)
  }

  private static func goThrough(
    _ wedge: any Wedge, _ stage: WedgeStage, _ pace: WedgePace,
    _ progress: @Sendable (_ phase: Int) -> Void
  ) async throws -> WedgeCourse {
    let parameters = stage.parameters
    var course = WedgeCourse()
    // Everybody is there before anything is measured.
    pace.begin()
    let beginning = max(parameters.patience, .seconds(30))
    guard await waitUntil(within: beginning, { pace.silentSessions == 0 }) else {
      throw WedgeFailure(
        "\(pace.silentSessions) of \(parameters.sessions) sessions have had no answer after "
          + "\(beginning), before there was a wedge: \(pace.results.complaints)")
    }
    pace.endPhase()
    let limit = parameters.bound + parameters.slack
    for pair in 0..<parameters.pairs {
      try await measure(pace, parameters, &course, isWedged: false)
      progress(2 * pair)
      do {
        try await wedge.drive()
        try await measure(pace, parameters, &course, isWedged: true)
        _ = await waitUntil(within: limit) { stage.wedged.areAllClosed }
      } catch {
        await wedge.pull()
        throw error
      }
      course.wedged += stage.wedged.take(limit: limit)
      await wedge.pull()
      progress(2 * pair + 1)
      // What stood still goes on before the next phase.
      try await Task.sleep(for: .milliseconds(100))
    }
    return course
  }

  private static func measure(
    _ pace: WedgePace, _ parameters: WedgeParameters, _ course: inout WedgeCourse, isWedged: Bool
  ) async throws {
    pace.begin()
    try await Task.sleep(for: parameters.phase)
    let areAllAnswered = await waitUntil(within: parameters.patience) { pace.silentSessions == 0 }
    let silent = pace.silentSessions
    pace.endPhase()
    course.phases.append(isWedged)
    guard !areAllAnswered, silent > 0 else { return }
    course.complaints.append(
      "\(silent) of \(parameters.sessions) sessions had no answer for "
        + "\(parameters.phase + parameters.patience)"
        + (isWedged ? " while the wedge was there" : " without the wedge"))
  }
}

/// What a run has come by.
private struct WedgeCourse: Sendable {
  /// Whether each was with the wedge.
  var phases: [Bool] = []
  var wedged: [WedgeReport.Wedged] = []
  var complaints: [String] = []

  func report(_ name: String, _ parameters: WedgeParameters, _ pace: WedgePace) -> WedgeReport {
    let results = pace.results
    // The first phase is the one in which everybody came.
    let measured = zip(phases, results.roundTrips.dropFirst()).map {
      WedgeReport.Phase(isWedged: $0, $1)
    }
    var complaints = complaints + results.complaints
    for one in wedged where one.ending == nil {
      complaints.append(
        "\(one.name) was not ended within \(parameters.bound) and \(parameters.slack) of slack")
    }
    func report(_ complaints: [String]) -> WedgeReport {
      WedgeReport(
        wedge: name, parameters: parameters, phases: measured, wedged: wedged,
        complaints: complaints)
    }
    if let most = parameters.mostRatio, let ratio = report([]).medianRatio, ratio > most {
      let hundredths = (ratio * 100).rounded() / 100
      complaints.append(
        "the 99th percentile with the wedge is \(hundredths) times that without it; at most \(most)"
      )
    }
    return report(complaints)
  }
}

extension Result where Success: Sendable, Failure == any Error {
  /// What the body returns or throws.
  fileprivate init(awaiting body: () async throws -> Success) async {
    do {
      self = .success(try await body())
    } catch {
      self = .failure(error)
    }
  }
}
