import Glibc

/// What connections cost a server that have each made one request, and rest.
struct IdleMemory {
  let id: String
  let title: String
  let subjects: [Subject]
  /// What each connection has asked for.
  let load: Load
  /// Descriptors of the server per connection.
  let descriptors: Int
  /// Of subjects and of connections: bytes per connection, a value per round.
  var figures: [Figure] = []

  struct Figure {
    let subject: Subject
    let connections: Int
    let bytes: Series?
    /// Why there is none.
    let reason: String?
  }

  func figure(_ subject: String, _ connections: Int) -> Figure? {
    figures.first { $0.subject.id == subject && $0.connections == connections }
  }
}

extension Bench {
  /// - Parameter say: gets a line about what is left out.
  func measure(_ memory: inout IdleMemory, say: (String) -> Void) throws(Failure) {
    for count in plan.idleConnections {
      for subject in memory.subjects {
        var reason = stage.whatLacks(subject)
        let needed = count * memory.descriptors + 200
        if reason == nil && DescriptorLimit.current < needed {
          reason =
            "the limit of open descriptors is \(DescriptorLimit.current), and \(needed) are needed: "
            + "raise it with ulimit -n \(needed)"
        }
        var values: [Double] = []
        do throws(Failure) {
          for _ in 0..<plan.idleRounds where reason == nil {
            values.append(try bytesPerConnection(subject, memory.load, count))
          }
        } catch {
          try Interruption.check()
          (reason, values) = (error.description, [])
        }
        if let reason { say("  \(subject.label), \(count) connections: left out: \(reason)") }
        memory.figures.append(
          IdleMemory.Figure(
            subject: subject, connections: count, bytes: Series(values), reason: reason))
      }
    }
  }

  private func bytesPerConnection(
    _ subject: Subject, _ load: Load, _ count: Int
  ) throws(Failure) -> Double {
    let server = try stage.serve(subject, .sameCore)
    defer { server.stop() }
    // What a server allocates once is not what a connection costs. A ring of buffers, too, is in
    // memory only when each of them has been used.
    var one = load
    one.connections = 1
    _ = try LoadRun(one, total: 10_000, against: server, .sameCore, on: stage).go()
    try Interruption.sleep(milliseconds: 20)
    let before = try userBytes(of: server, subject)
    var many = load
    many.connections = count
    let client = try stage.start(
      "fd-load", many.idleArguments(port: server.port), on: .first, talks: true)
    defer { client.stop() }
    _ = try client.line(withinSeconds: 60)
    try Interruption.sleep(milliseconds: 50)
    return Double(try userBytes(of: server, subject) - before) / Double(count)
  }

  private func userBytes(of server: Server, _ subject: Subject) throws(Failure) -> Int {
    guard let bytes = server.processes.userBytes else {
      throw Failure("the kernel does not say how much memory \(subject.program) has")
    }
    return bytes
  }
}

/// The limit of open descriptors of this process, and of those that it starts.
enum DescriptorLimit {
  /// Raises it as far as it goes.
  static func raise() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  static var current: Int {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    return Int(clamping: limit.rlim_cur)
  }
}
