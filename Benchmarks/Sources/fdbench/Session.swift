import Glibc

/// One run: what was asked for, in order.
struct Session {
  private let stage: Stage
  private let plan: Plan
  private let comparisons: [Comparison]
  private let memory: [IdleMemory]
  private let measuresTakeovers: Bool
  private let began = ContinuousClock.now

  /// - Parameter names: the beginnings of those that are measured; nil is all.
  /// - Throws: if a name fits nothing.
  init(_ stage: Stage, _ plan: Plan, only names: [String]?) throws(Failure) {
    self.stage = stage
    self.plan = plan
    let comparisons = Matrix.comparisons(plan) + Growth.comparisons(plan)
    let memory = Matrix.memory(plan)
    let all = comparisons.map(\.id) + memory.map(\.id) + ["takeover"]
    for name in names ?? [] where !all.contains(where: { Self.fits($0, name) }) {
      throw Failure("nothing is called \(name): --list shows all names")
    }
    func isAsked(_ id: String) -> Bool { names?.contains { Self.fits(id, $0) } ?? true }
    self.comparisons = comparisons.filter { isAsked($0.id) }
    self.memory = memory.filter { isAsked($0.id) }
    measuresTakeovers = isAsked("takeover")
  }

  /// Whole parts of a name only: echo is not echo-4k.
  private static func fits(_ id: String, _ name: String) -> Bool {
    id == name || id.hasPrefix(name + "/")
  }

  func list() {
    for comparison in comparisons {
      print("\(comparison.id)  \(comparison.title)")
      var seen: Set<String> = []
      for contender in comparison.contenders where seen.insert(contender.subject.label).inserted {
        let lack = stage.whatLacks(contender.subject).map { "  (left out: \($0))" } ?? ""
        print("  \(contender.subject.label)\(lack)")
      }
    }
    for memory in memory { print("\(memory.id)  User memory: \(memory.title)") }
    if measuresTakeovers { print("takeover  Taking a connection over, and making one") }
  }

  func run(name: String, output: String, command: String) throws(Failure) {
    guard stage.path(of: "fd-load") != nil else {
      throw Failure("fd-load is not there: build it with `make bench`")
    }
    guard stage.path(of: "taskset") != nil else {
      throw Failure("taskset is not installed: install util-linux")
    }
    // Before any core is named: what we do ourselves is no part of what is measured.
    _ = Cores.available
    _ = stage.output(of: "taskset", ["-cp", Cores.other.list, "\(Machine.ownPID)"])
    let machine = Machine(stage, resolved: "Benchmarks/Package.resolved")
    let bench = Bench(on: stage, plan)
    if let reason = bench.whyNoSystemCalls { print("System calls are not counted: \(reason).") }
    var results = Results()
    for comparison in comparisons {
      say(comparison.title)
      results.comparisons.append(try bench.run(comparison) { print($0) })
    }
    for memory in memory {
      say("User memory per idle connection: \(memory.title)")
      var measured = memory
      try bench.measure(&measured) { print($0) }
      results.memory.append(measured)
    }
    if measuresTakeovers {
      say("Taking a connection over, and making one")
      results.takeovers = try bench.measureTakeovers()
      if let failure = results.takeovers?.failure { print("  left out: \(failure)") }
    }
    let report = Report(
      name: name, command: command, machine: machine, plan: plan, results: results,
      whyNoSystemCalls: bench.whyNoSystemCalls)
    let paths = try report.write(into: output)
    print("\n" + report.targets.text)
    print("Written in \(seconds) s: \(paths.joined(separator: ", "))")
  }

  private var seconds: String { decimal((ContinuousClock.now - began) / .seconds(1), 0) }

  private func say(_ title: String) {
    print("[\(seconds) s] \(title)")
    fflush(nil)
  }
}
