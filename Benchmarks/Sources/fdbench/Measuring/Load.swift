/// What clients do to a server.
struct Load: Equatable, Sendable {
  enum Kind: Equatable {
    /// Messages of so many bytes, there and back, on connections that last.
    case echo(bytes: Int)
    /// Requests on connections that last.
    case http
    /// Connect, one request, the server closes.
    case churn
  }

  var kind: Kind
  /// How many at a time.
  var connections = 64

  /// Of the load generator.
  func arguments(port: Int, total: Int) -> [String] {
    let counts = ["\(port)", "\(connections)", "\(total)"]
    return switch kind {
    case .echo(let bytes): ["echo"] + counts + ["\(bytes)"]
    case .http: ["http"] + counts
    case .churn: ["churn"] + counts + ["http"]
    }
  }

  /// Of the load generator, for connections that rest after one request.
  func idleArguments(port: Int) -> [String] {
    let protocolName = if case .echo = kind { "echo" } else { "http" }
    return ["idle", "\(port)", "\(connections)", protocolName]
  }
}

/// What the load generator says of a run.
struct LoadResult {
  let requests: Double
  let perSecond: Double
  /// In microseconds.
  let p50, p99, p999: Double

  init(_ line: String) throws(Failure) {
    let values = Self.numbers(in: line)
    guard let requests = values["n"], requests > 0, let perSecond = values["rps"],
      let p50 = values["p50"], let p99 = values["p99"], let p999 = values["p999"]
    else { throw Failure("the load generator said \(line), and no figures") }
    if let errors = values["err"], errors > 0 {
      throw Failure("\(Int(errors)) of \(Int(requests)) connections failed")
    }
    self.requests = requests
    self.perSecond = perSecond
    (self.p50, self.p99, self.p999) = (p50, p99, p999)
  }

  /// Of a flat JSON object whose values are numbers.
  static func numbers(in line: String) -> [String: Double] {
    var values: [String: Double] = [:]
    for pair in line.split(whereSeparator: { "{},".contains($0) }) {
      let parts = pair.split(whereSeparator: { "\":".contains($0) || $0 == " " })
      if parts.count == 2, let value = Double(parts[1]) { values[String(parts[0])] = value }
    }
    return values
  }
}
