import CShims
import FDCoordination
import FDNet
import FDPoller
import Glibc
import Synchronization
import TestKit
import Testing

/// A peer in a process of its own: `fdpeer`, which echoes.
final class PeerProcess: Sendable {
  private let pid: pid_t

  /// - Parameter prefix: a command that runs another one.
  init(connectingTo address: SocketAddress, prefix: [String] = []) throws {
    let arguments =
      prefix + [try Child.releaseBinary("fdpeer"), "\(address)", TestedBackend.name]
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    // It must not keep open what this process has.
    for descriptor in STDERR_FILENO + 1..<min(getdtablesize(), 4096) {
      posix_spawn_file_actions_addclose(&actions, descriptor)
    }
    let argv = arguments.map { strdup($0) } + [nil]
    defer { for argument in argv { free(argument) } }
    var pid = pid_t()
    let refusal = posix_spawnp(&pid, arguments[0], &actions, nil, argv, environ)
    self.pid = pid
    try #require(refusal == 0, "\(arguments[0]) does not start: errno \(refusal)")
  }

  func signal(_ number: Int32) { kill(pid, number) }

  /// Kills it, and waits until it is gone.
  func end() {
    kill(pid, SIGKILL)
    var status: Int32 = 0
    waitpid(pid, &status, 0)
  }
}

/// Runs the body with a peer in a process of its own, and this side's end of the connection, whose
/// heartbeat is fast.
func withPeerProcess(
  _ address: SocketAddress, in network: LossyNetwork? = nil,
  _ body: @Sendable (PeerProcess, MultiplexedConnection) async throws -> Void
) async throws {
  try await withTestedPoller(threads: 1) { poller in
    let accepted = Guarded<MultiplexedConnection?>(nil)
    let settings = MultiplexedSettings(
      heartbeat: HeartbeatSettings(interval: .milliseconds(100), timeout: .seconds(1)))
    let listener = try Listener(address, on: poller) {
      let server = MultiplexedConnection($0, role: .server, settings: settings)
      accepted.value = server
      return server.handler
    }
    defer { listener.close() }
    let peer = try PeerProcess(
      connectingTo: listener.address, prefix: network?.inside ?? [])
    defer { peer.end() }
    try #require(await eventually { accepted.value != nil })
    let server = try #require(accepted.value)
    accepted.value = nil
    defer { server.close() }
    try await body(peer, server)
  }
}

/// A network namespace with a pair of interfaces between it and this one, which can lose every
/// packet without anybody being told.
struct LossyNetwork: Sendable {
  private let name: String
  private let link: String
  private static let number = Atomic(0)

  /// Where a listener on this side is reached from the other one.
  let address = SocketAddress(ipv4: (10, 213, 77, 1), port: 0)

  /// What runs a command on the other side.
  var inside: [String] { ["ip", "netns", "exec", name] }

  /// - Returns: nil, and a line that says so, if this process may not make one.
  static func make() async -> LossyNetwork? {
    let serial = number.add(1, ordering: .relaxed).newValue
    let network = LossyNetwork(
      name: "fdmux-\(getpid())-\(serial)", link: "fdm\(getpid() % 1_000_000)\(serial % 10)")
    let (near, far) = (network.link + "h", network.link + "n")
    do {
      try await network.run("netns", "add", network.name)
      try await network.run(
        "link", "add", near, "type", "veth", "peer", "name", far, "netns",
        network.name)
      try await network.run("addr", "add", "10.213.77.1/30", "dev", near)
      try await network.run("link", "set", near, "up")
      try await network.run(
        "-n", network.name, "addr", "add", "10.213.77.2/30", "dev", far)
      try await network.run("-n", network.name, "link", "set", far, "up")
      return network
    } catch {
      await network.remove()
      let line = Array("no network namespace (\(error)): its test is not run\n".utf8)
      _ = fdp_write(STDERR_FILENO, line, line.count)
      return nil
    }
  }

  private struct Refusal: Error, CustomStringConvertible { let description: String }

  private func run(_ arguments: String...) async throws {
    let child = try await Child.run(["ip"] + arguments, within: .seconds(20))
    guard child.status == 0 else { throw Refusal(description: child.errors) }
  }

  /// From here on every packet is lost, in both directions: each side's way to the other is a hole.
  func cut() async throws {
    try await run("-n", name, "route", "add", "blackhole", "10.213.77.1/32")
    try await run("route", "add", "blackhole", "10.213.77.2/32")
  }

  func remove() async {
    _ = try? await run("route", "del", "blackhole", "10.213.77.2/32")
    // The namespace lives on as long as a socket in it.
    _ = try? await run("link", "del", link + "h")
    _ = try? await run("netns", "del", name)
  }
}
