/// How the cost of a request grows with what there is more of. Each of these is a curve per subject.
enum Growth {
  static func comparisons(_ plan: Plan) -> [Comparison] {
    [
      connections(plan), loops(plan, .bothCores), loops(plan, .sameCore), proxyLoops(plan),
      timers(plan), pool(plan), destinations(plan),
    ]
  }

  private static func contenders(
    _ subjects: [Subject], over values: [Int], _ make: (Subject, Int) -> Contender
  ) -> [Contender] {
    subjects.flatMap { subject in
      values.map { value in
        var contender = make(subject, value)
        contender.x = Double(value)
        return contender
      }
    }
  }

  private static let echo = Load(kind: .echo(bytes: 64))

  private static func connections(_ plan: Plan) -> Comparison {
    let subjects: [Subject] =
      plan.isQuick
      ? [.ours("echo"), .epollEcho]
      : [
        .ours("echo"), .ours("echo", .handler, .uring), .ours("echo", .async), .epollEcho,
        .uringEcho,
      ]
    let counts = plan.isQuick ? [1, 64, 9_000] : [1, 8, 64, 512, 1_000, 3_000, 9_000]
    return Comparison(
      id: "growth/connections", title: "CPU per echo against connections, same core",
      note: """
        With one connection every message has a wait of its own; with thousands, the sockets no \
        longer fit the caches. Both show in the C floor as well.
        """,
      contenders: contenders(subjects, over: counts) { subject, count in
        Contender(
          subject: subject, load: Load(kind: echo.kind, connections: count), placement: .sameCore)
      }, axis: "connections")
  }

  private static func loops(_ plan: Plan, _ placement: Placement) -> Comparison {
    let subjects: [Subject] =
      plan.isQuick
      ? [.ours("echo")] : [.ours("echo"), .ours("echo", .handler, .uring), .epollEcho]
    return Comparison(
      id: "growth/loops-\(placement)", title: "CPU per echo against loops, \(placement.rawValue)",
      note: """
        The 64 connections are dealt out to the loops, so that with more loops a wait brings fewer \
        events, and on one core the threads take turns. The C floor has the same threads, and the \
        same curve.
        """,
      contenders: contenders(subjects, over: plan.isQuick ? [1, 2, 16] : [1, 2, 4, 8, 16]) {
        Contender(subject: $0.with(threads: $1), load: echo, placement: placement)
      }, axis: "loops")
  }

  private static func proxyLoops(_ plan: Plan) -> Comparison {
    Comparison(
      id: "growth/proxy-loops", title: "CPU per request of fdproxy against loops, same core",
      note: """
        All loops share one pool of connections to the backend. From some four loops on it rises as the \
        echo's does.
        """,
      contenders: contenders([.fdproxy("http")], over: plan.isQuick ? [1, 2] : [1, 2, 4, 8, 16]) {
        Contender(
          subject: $0.with(threads: $1), load: Load(kind: .http), placement: .sameCore)
      }, axis: "loops")
  }

  private static func timers(_ plan: Plan) -> Comparison {
    let counts = plan.isQuick ? [1_000, 1_000_000] : [1_000, 10_000, 100_000, 1_000_000]
    return Comparison(
      id: "growth/timers", title: "CPU per echo against pending timers, same core",
      note: """
        Each loop has so many timers, due in one to two hours. Every message cancels one of them and \
        adds another: flat within the rounds.
        """,
      contenders: counts.flatMap { count in
        (plan.isQuick ? [Subject.IO.epoll] : [.epoll, .uring]).map { io in
          Contender(
            subject: .ours("echo", .handler, io, timers: count), load: echo, placement: .sameCore,
            x: Double(count))
        }
      }, axis: "timers")
  }

  private static func pool(_ plan: Plan) -> Comparison {
    let sizes = plan.isQuick ? [64, 1_000] : [64, 250, 500, 1_000, 2_000]
    return Comparison(
      id: "growth/pool", title: "CPU per proxied request against idle connections in the pool",
      note: "The pool was filled by that many requests at a time; then 64 clients use it: flat.",
      contenders: contenders([.fdproxy("http", pooled: 4_000)], over: sizes) { subject, size in
        Contender(
          subject: subject, load: Load(kind: .http), placement: .sameCore, fill: size)
      }, axis: "requests at a time that filled the pool")
  }

  private static func destinations(_ plan: Plan) -> Comparison {
    Comparison(
      id: "growth/destinations", title: "CPU per proxied request against destinations, same core",
      note: """
        Requests go to the backends in turn, each a process on the other core. A single one is awake \
        most of the time; of several most sleep, and a proxy pays for waking them: 0.5 times a \
        request with one, 0.8 with two, 1.5 with 32 (fdproxy's sched:sched_waking). HAProxy's curve \
        rises as well.
        """,
      contenders: contenders(
        plan.isQuick ? [.fdproxy("http")] : [.fdproxy("http"), .haproxy("http")],
        over: plan.isQuick ? [1, 32] : [1, 2, 4, 8, 16, 32, 64]
      ) {
        Contender(
          subject: $0, load: Load(kind: .http), placement: .sameCore, backends: $1)
      }, axis: "destinations")
  }
}
