import FDNet
import FDPoller
import Logging
import ReverseProxy

/// All that fdproxy is told, by flags or by a file.
struct Settings: Sendable {
  /// What it does.
  enum Service: Sendable {
    case http(HTTPProxyConfiguration)
    case tcp(TCPProxyConfiguration)
  }

  /// What stands on the command line beside `--config`, and holds whatever the file says.
  struct Overrides: Sendable {
    var threads: Int?
    var io: IOBackend?
    var logLevel: Logger.Level?
    var takeoverPath: String?
  }

  var service: Service
  var threads = 1
  /// Nil is as few as possible.
  var threadGroups: Int?
  var io = IOBackend.epoll
  var processors: [Int] = []
  var logLevel = Logger.Level.info
  /// Of the socket through which another process takes the listening sockets over.
  var takeoverPath: String?
  /// The file that these are from; nil if flags have said them.
  var configPath: String?
  /// What came beside the file.
  var overrides = Overrides()

  init(_ service: Service) { self.service = service }

  var mode: Mode {
    switch service {
    case .http: .http
    case .tcp: .tcp
    }
  }

  /// Nil in the other mode.
  var http: HTTPProxyConfiguration? {
    guard case .http(let proxy) = service else { return nil }
    return proxy
  }

  mutating func override(with overrides: Overrides) {
    self.overrides = overrides
    threads = overrides.threads ?? threads
    io = overrides.io ?? io
    logLevel = overrides.logLevel ?? logLevel
    takeoverPath = overrides.takeoverPath ?? takeoverPath
  }

  var pollerConfiguration: PollerConfiguration {
    var configuration = PollerConfiguration(threads: threads, groups: threadGroups)
    configuration.io = io
    configuration.processors = processors
    configuration.name = "fdproxy"
    configuration.logger = .toStandardError(label: "fd-poller", level: logLevel)
    return configuration
  }
}

// MARK: - Judging

extension Settings {
  /// What may be meant so, but should be said to whoever starts the proxy.
  var warnings: [String] {
    guard case .http(let proxy) = service, let admin = proxy.admin,
      !admin.addresses.allSatisfy(\.isOfThisMachineOnly)
    else { return [] }
    return [
      "the admin address \(admin.name) is not a loopback address: whoever reaches it sees "
        + "addresses and counters"
    ]
  }

  /// How much of everything there is.
  var summary: String {
    func count(_ number: Int, _ noun: String) -> String {
      "\(number) \(noun)\(number == 1 ? "" : "s")"
    }
    switch service {
    case .http(let proxy):
      let backends = proxy.groups.reduce(0) { $0 + $1.backends.count }
      return "\(count(proxy.listen.count, "listener")), \(count(backends, "backend")) "
        + "in \(count(proxy.groups.count, "group"))"
    case .tcp(let proxy):
      return "\(count(proxy.listen.count, "listener")), \(count(proxy.backends.count, "backend"))"
    }
  }

  /// What a reload cannot change, as one text for each thing that differs.
  static func needingRestart(from old: Settings, to new: Settings) -> [String] {
    func change<Value: Equatable>(_ name: String, _ value: (Settings) -> Value) -> String? {
      value(old) == value(new) ? nil : "\(name): \(value(old)) to \(value(new))"
    }
    return [
      change("mode", \.mode.rawValue),
      change("threads", \.threads),
      change("thread-groups") { $0.threadGroups.map { "\($0)" } ?? "as few as possible" },
      change("io", \.io.rawValue),
      change("pin", \.processors),
      change("takeover") { $0.takeoverPath ?? "none" },
    ].compactMap(\.self)
  }
}

extension SocketAddress {
  /// Others cannot reach it.
  fileprivate var isOfThisMachineOnly: Bool {
    let text = "\(self)"
    return ["127.", "[::1]:", "[::ffff:127.", "unix:"].contains { text.hasPrefix($0) }
  }
}
