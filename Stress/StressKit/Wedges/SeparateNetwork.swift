import FDNet
import Glibc
import Synchronization

/// A network namespace with a pair of interfaces between it and this one, which can lose every
/// packet without anybody being told. Takes root, and ip(8).
public final class SeparateNetwork: Sendable {
  private let name: String
  private let link: String
  /// Of the pair of addresses.
  private let prefix: String
  private static let number = Atomic(0)

  /// Where a listener on this side is reached from the other one.
  let address: SocketAddress

  /// What runs a command on the other side.
  var inside: [String] { ["ip", "netns", "exec", name] }

  /// - Throws: what ip(8) was asked for and did not do.
  init() async throws {
    let serial = Self.number.add(1, ordering: .relaxed).newValue
    name = "fdwedge-\(getpid())-\(serial)"
    link = "fdw\(getpid() % 1_000_000)\(serial % 10)"
    let (third, fourth) = (UInt8(getpid() % 256), UInt8(serial % 64 * 4))
    prefix = "10.214.\(third)."
    address = SocketAddress(ipv4: (10, 214, third, fourth + 1), port: 0)
    do {
      try await run("netns", "add", name)
      try await run(
        "link", "add", link + "h", "type", "veth", "peer", "name", link + "n", "netns", name)
      try await run("addr", "add", "\(prefix)\(fourth + 1)/30", "dev", link + "h")
      try await run("link", "set", link + "h", "up")
      try await run("-n", name, "addr", "add", "\(prefix)\(fourth + 2)/30", "dev", link + "n")
      try await mend()
    } catch {
      await remove()
      throw WedgeFailure("no network namespace, which takes root and ip(8): \(error)")
    }
  }

  /// From here on every packet is lost, in both directions.
  func cut() async throws { try await run("-n", name, "link", "set", link + "n", "down") }

  /// From here on they arrive.
  func mend() async throws { try await run("-n", name, "link", "set", link + "n", "up") }

  /// Removes both ends.
  func remove() async {
    // The namespace lives on as long as a socket in it.
    _ = try? await run("link", "del", link + "h")
    _ = try? await run("netns", "del", name)
  }

  private func run(_ arguments: String...) async throws {
    let argv = (["ip"] + arguments).map { strdup($0) } + [nil]
    defer { for argument in argv { free(argument) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for descriptor in [STDOUT_FILENO, STDERR_FILENO] {
      posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_WRONLY, 0)
    }
    for descriptor in STDERR_FILENO + 1..<min(getdtablesize(), 4096) {
      posix_spawn_file_actions_addclose(&actions, descriptor)
    }
    var child = pid_t()
    guard posix_spawnp(&child, "ip", &actions, nil, argv, environ) == 0 else {
      throw WedgeFailure("ip does not start")
    }
    var status: Int32 = 0
    while waitpid(child, &status, WNOHANG) == 0 { try await Task.sleep(for: .milliseconds(2)) }
    guard status == 0 else {
      throw WedgeFailure("ip \(arguments.joined(separator: " ")) fails")
    }
  }
}
