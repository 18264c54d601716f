/// All that is compared with peers: each work with each face, backend and number of threads.
enum Matrix {
  /// What is done, and by whom. The name is the first part of a comparison's.
  private struct Work {
    let name: String
    let title: String
    let load: Load
    let subjects: [Subject]
    /// Those that a quick run is content with.
    let quick: Set<String>

    var chosen: [Subject] { subjects.filter { quick.contains($0.id) } }
  }

  private static let everyFace = [Subject.Face.handler, .async]
  private static let everyIO = Subject.IO.allCases

  /// A server of ours with each face and each backend.
  private static func ours(_ work: String) -> [Subject] {
    everyFace.flatMap { face in everyIO.map { Subject.ours(work, face, $0) } }
  }

  private static let echoers =
    ours("echo") + [
      .epollEcho, .uringEcho, .libuv, .nio("echo", .handler), .nio("echo", .async),
    ]

  private static let webServers =
    ours("http") + [
      .epollHTTP, .uringHTTP, .nginxHTTP, .nio("http", .handler), .nio("http", .async),
      .hummingbird,
    ]

  private static let works = [
    Work(
      name: "echo", title: "Echo of 64 bytes", load: Load(kind: .echo(bytes: 64)),
      subjects: echoers,
      quick: [
        "handler-epoll", "handler-uring", "async-epoll", "async-uring", "c-epoll", "c-uring",
        "nio-handler", "nio-async",
      ]),
    Work(
      name: "echo-4k", title: "Echo of 4 KiB", load: Load(kind: .echo(bytes: 4_096)),
      subjects: echoers, quick: []),
    Work(
      name: "http", title: "HTTP plaintext, 13 bytes", load: Load(kind: .http),
      subjects: webServers,
      quick: ["handler-epoll", "handler-uring", "c-epoll", "nginx", "nio-handler"]),
    Work(
      name: "tcp-proxy", title: "TCP proxy, 64 bytes there and back",
      load: Load(kind: .echo(bytes: 64)),
      subjects: ours("tcp-proxy") + everyIO.map { .fdproxy("tcp", $0) } + [
        .epollProxy, .haproxy("tcp"),
      ],
      quick: ["fdproxy-epoll", "fdproxy-uring", "c-epoll", "haproxy"]),
    Work(
      name: "http-proxy", title: "HTTP proxy, shared pool, reuse always", load: Load(kind: .http),
      subjects: everyIO.map { .fdproxy("http", $0) } + [.nginxProxy, .haproxy("http")],
      quick: ["fdproxy-epoll", "fdproxy-uring", "nginx", "haproxy"]),
    Work(
      name: "churn", title: "Connect, one HTTP request, close", load: Load(kind: .churn),
      subjects: webServers,
      quick: ["handler-epoll", "handler-uring", "c-epoll", "nginx", "nio-handler"]),
    Work(
      name: "churn-proxy", title: "Connect, one HTTP request through a proxy, close",
      load: Load(kind: .churn),
      subjects: everyIO.map { .fdproxy("http", $0) } + [.nginxProxy, .haproxy("http")], quick: []),
  ]

  /// A quick run has one thread on the core of its client.
  static func comparisons(_ plan: Plan) -> [Comparison] {
    let placements: [(Placement, threads: Int)] =
      plan.isQuick
      ? [(.sameCore, 1)] : [(.sameCore, 1), (.otherCore, 1), (.bothCores, 2)]
    return works.flatMap { work in
      placements.compactMap { placement, threads in
        let subjects = plan.isQuick ? work.chosen : work.subjects
        guard !subjects.isEmpty else { return nil }
        let place = threads == 1 ? "1 thread, \(placement.rawValue)" : "\(threads) threads"
        return Comparison(
          id: "\(work.name)/\(placement)", title: "\(work.title): \(place)",
          // libuv's loop is one.
          contenders: subjects.filter { threads == 1 || $0.id != "libuv" }.map {
            Contender(subject: $0.with(threads: threads), load: work.load, placement: placement)
          })
      }
    }
  }

  static func memory(_ plan: Plan) -> [IdleMemory] {
    [
      memory("idle/echo", "echo server, after one message", like: "echo", 1, plan),
      memory("idle/http", "HTTP server, after one request", like: "http", 1, plan),
      memory("idle/tcp-proxy", "TCP proxy, client and backend", like: "tcp-proxy", 2, plan),
      memory("idle/http-proxy", "HTTP proxy, client", like: "http-proxy", 1, plan),
    ]
  }

  /// Of the servers that do that work.
  private static func memory(
    _ id: String, _ title: String, like name: String, _ descriptors: Int, _ plan: Plan
  ) -> IdleMemory {
    guard let work = works.first(where: { $0.name == name }) else {
      preconditionFailure("\(name) is a work")
    }
    return IdleMemory(
      id: id, title: title, subjects: plan.isQuick ? work.chosen : work.subjects, load: work.load,
      descriptors: descriptors)
  }
}
