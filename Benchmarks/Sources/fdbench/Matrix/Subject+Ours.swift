// The subjects that this package has itself.

extension Subject {
  enum Face: String {
    case handler, async
  }

  enum IO: String, CaseIterable {
    case epoll
    case uring = "io_uring"
  }

  /// - Parameters:
  ///   - work: of fd-server: echo, http or tcp-proxy.
  ///   - timers: pending on each loop.
  static func ours(
    _ work: String, _ face: Face = .handler, _ io: IO = .epoll, timers: Int? = nil
  ) -> Subject {
    Subject(
      id: "\(face)-\(io)", label: "ours: \(face), \(io.rawValue)", kind: .ours,
      program: "fd-server", backend: work == "tcp-proxy" ? "epoll-echo" : nil
    ) { (subject, place) throws(Failure) in
      var arguments = [
        work, "\(place.port)", "--face", face.rawValue, "--io", io.rawValue, "--threads",
        "\(subject.threads)",
      ]
      if let port = place.backendPorts.first { arguments += ["--backend", "\(port)"] }
      if let timers { arguments += ["--timers", "\(timers)"] }
      return arguments
    }
  }

  /// The real fdproxy. It says no more of the client to the backend than its peers do here.
  ///
  /// - Parameters:
  ///   - mode: http or tcp.
  ///   - pooled: how many idle connections it may keep.
  static func fdproxy(_ mode: String, _ io: IO = .epoll, pooled: Int = 1024) -> Subject {
    Subject(
      id: "fdproxy-\(io)", label: "ours: fdproxy, \(io.rawValue)", kind: .ours,
      program: "fdproxy", backend: mode == "tcp" ? "epoll-echo" : "epoll-http"
    ) { (subject, place) throws(Failure) in
      var arguments = [
        "serve", "--mode", mode, "--listen", "127.0.0.1:\(place.port)", "--threads",
        "\(subject.threads)", "--io", io.rawValue, "--log-level", "error", "--drain-seconds", "1",
      ]
      for port in place.backendPorts { arguments += ["--backend", "127.0.0.1:\(port)"] }
      guard mode == "http" else { return arguments }
      return arguments + [
        "--no-x-forwarded-for", "--via", "none", "--reuse", "always", "--idle-per-destination",
        "\(pooled)", "--idle-in-all", "\(pooled * place.backendPorts.count)", "--idle-time", "1h",
        "--purge-interval", "1h", "--keep-alive-timeout", "1h",
      ]
    }
  }
}
