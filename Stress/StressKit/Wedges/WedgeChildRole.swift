import CShims
import FDAsync
import FDCoordination
import FDNet
import FDPoller
import Glibc

/// What a wedge has a process of its own for. Each says one line when it is ready, and ends with its
/// standard input.
enum WedgeChildRole: Sendable {
  /// Answers each line with it; the line that it is ready with is its address.
  case authoriser(IOBackend)
  /// Connects, says something and nothing more, and reads nothing.
  case guest(SocketAddress, [String])
  /// A multiplexed connection with one stream that it asks much of and never reads.
  case pourer(SocketAddress, IOBackend)
  /// A multiplexed connection with one stream, on which it echoes.
  case agent(SocketAddress, IOBackend, String)

  /// How much a pourer lets its peer send.
  static let pourerWindow = 64 << 20

  var arguments: [String] {
    switch self {
    case .authoriser(let io): ["authoriser", io.rawValue]
    case .guest(let address, let lines): ["guest", "\(address)"] + lines
    case .pourer(let address, let io): ["pourer", "\(address)", io.rawValue]
    case .agent(let address, let io, let name): ["agent", "\(address)", io.rawValue, name]
    }
  }

  init?(_ arguments: [String]) throws {
    func address() throws -> SocketAddress { try SocketAddress(parsing: arguments[1]) }
    func io(_ index: Int) throws -> IOBackend {
      guard let io = IOBackend(rawValue: arguments[index]) else {
        throw WedgeFailure("\(arguments[index]) is no backend")
      }
      return io
    }
    switch (arguments.first, arguments.count) {
    case ("authoriser", 2): self = .authoriser(try io(1))
    case ("guest", 3...): self = .guest(try address(), Array(arguments[2...]))
    case ("pourer", 3): self = .pourer(try address(), try io(2))
    case ("agent", 4): self = .agent(try address(), try io(2), arguments[3])
    default: return nil
    }
  }

  /// Blocks the calling thread until the standard input ends.
  func run() throws {
    switch self {
    case .guest(let address, let lines): try Self.beGuest(address, lines)
    case .authoriser(let io): try Self.beAuthoriser(io)
    case .pourer(let address, let io): try Self.bePourer(address, io)
    case .agent(let address, let io, let name): try Self.beAgent(address, io, name)
    }
  }

  private static func say(_ line: String) {
    print(line)
    fflush(nil)
  }

  private static func waitForEnd() { while readLine() != nil {} }

  private static func poller(_ io: IOBackend) throws -> Poller {
    var configuration = PollerConfiguration(threads: 1)
    configuration.io = io
    let poller = try Poller(configuration)
    try poller.start()
    return poller
  }

  private static func beGuest(_ address: SocketAddress, _ lines: [String]) throws {
    let domain = address.family == .ipv6 ? AF_INET6 : AF_INET
    let fd = socket(domain, Int32(SOCK_STREAM.rawValue), 0)
    let result = address.withSockAddr { address, length in
      connect(fd, address.assumingMemoryBound(to: sockaddr.self), length)
    }
    guard fd >= 0, result == 0 else { throw WedgeFailure("cannot connect to \(address)") }
    for (index, line) in lines.enumerated() {
      // The last one lacks its end.
      let bytes = Array((line + (index + 1 < lines.count ? "\n" : "")).utf8)
      guard fdp_write(fd, bytes, bytes.count) == bytes.count else {
        throw WedgeFailure("cannot write to \(address)")
      }
    }
    say("ready")
    waitForEnd()
  }

  private static func beAuthoriser(_ io: IOBackend) throws {
    let poller = try poller(io)
    let listener = try AsyncListener(.loopback(port: 0), on: poller)
    Task {
      await listener.serve { connection in
        var lines = LineReader()
        while let line = try await lines.next(connection) { connection.write(line + "\n") }
      }
    }
    say("\(listener.address)")
    waitForEnd()
  }

  private static func bePourer(_ address: SocketAddress, _ io: IOBackend) throws {
    let poller = try poller(io)
    let held = Kept<MultiplexedStream?>(nil)
    Task {
      let settings = MultiplexedSettings(window: pourerWindow, heartbeat: nil)
      let connection = try await MultiplexedConnection.connect(
        to: address, on: poller.loops[0], settings: settings)
      let stream = try connection.open(Array("pour".utf8))
      held.withLock { $0 = stream }
      _ = try await stream.receive()
      say("ready")
    }
    waitForEnd()
    held.withLock { $0 = nil }
  }

  private static func beAgent(_ address: SocketAddress, _ io: IOBackend, _ name: String) throws {
    let poller = try poller(io)
    Task {
      let connection = try await MultiplexedConnection.connect(
        to: address, on: poller.loops[0])
      let stream = try connection.open(Array("agent \(name)".utf8))
      var isReady = false
      while let message = try await stream.receive() {
        try await stream.send(message)
        if !isReady { say("ready") }
        isReady = true
      }
    }
    waitForEnd()
  }
}
