/// The load generator at work on a server: its connections stand, and it waits for the word.
struct LoadRun {
  private let client: ChildProcess
  private let server: Server

  /// - Parameters:
  ///   - warmUp: requests that come first and are not measured.
  ///   - total: requests that are.
  init(
    _ load: Load, warmUp: Int = 0, total: Int, against server: Server, _ placement: Placement,
    on stage: Stage
  ) throws(Failure) {
    self.server = server
    client = try stage.start(
      "fd-load",
      load.arguments(port: server.port, total: total)
        + ["--warm-up", "\(warmUp)", "--gate"],
      on: placement.client, talks: true)
    do throws(Failure) {
      _ = try client.line(withinSeconds: 60)
    } catch {
      client.stop()
      throw error
    }
  }

  struct Result {
    let load: LoadResult
    /// Of the server, while requests were under way.
    let cpuNanoseconds: Double
    let isDisturbed: Bool
  }

  /// Lets it run, and looks at the server before and after.
  func go() throws(Failure) -> Result {
    defer { client.stop() }
    let cpuBefore = server.processes.runNanoseconds
    let quietBefore = quiet()
    try client.say("go")
    // It holds its connections until we are done, so that their end is not counted.
    let line = try client.line(withinSeconds: 120)
    let cpu = server.processes.runNanoseconds &- cpuBefore
    return Result(
      load: try LoadResult(line), cpuNanoseconds: Double(cpu),
      isDisturbed: quietBefore.isDisturbed(
        until: quiet(), processors: Machine.processors))
  }

  private func quiet() -> Quiet {
    let ours = ProcessTree(server.all.pids + [client.pid, Machine.ownPID])
    return Quiet(ownNanoseconds: ours.runNanoseconds)
  }
}
