import Glibc
import TestKit

/// A running `fdtunnel server`, and what a test needs to start agents for it.
final class Tunnel {
  let server: Program
  let agentPort: UInt16
  /// Of the first --clients.
  let clientPort: UInt16
  let tokenPath: String

  /// Starts one on free ports and waits until it is ready.
  ///
  /// - Parameters:
  ///   - authorization: the flags that say who may register; nil for the token's file.
  init(
    _ arguments: [String], clients: [String], authorization: [String]?, tokenPath: String
  ) async throws {
    self.tokenPath = tokenPath
    server = try Program(
      try Program.path(of: "fdtunnel"),
      ["server", "--agents", "127.0.0.1:0"] + clients.flatMap { ["--clients", $0] }
        + (authorization ?? ["--token-file", tokenPath]) + ["--io", TestedBackend.name] + arguments)
    let ports = try await server.waitFor("ready") { text in
      text.contains("ready\n")
        ? text.split(separator: "\n").filter { $0.contains(" at 127.0.0.1:") }
          .compactMap { UInt16($0.split(separator: ":").last ?? "") } : nil
    }
    (agentPort, clientPort) = (ports[0], ports[1])
  }

  /// Starts an agent, without waiting for anything.
  ///
  /// - Parameter tokenPath: nil is the one that the server takes.
  func dial(
    to services: [String], id: String = "a", tokenPath: String? = nil, _ arguments: [String] = []
  ) throws -> Program {
    try Program(
      try Program.path(of: "fdtunnel"),
      ["agent", "--server", "127.0.0.1:\(agentPort)", "--id", id]
        + ["--token-file", tokenPath ?? self.tokenPath] + services.flatMap { ["--service", $0] }
        + ["--retry", "0.2", "--io", TestedBackend.name] + arguments)
  }

  /// Starts an agent and waits until it is registered.
  func agent(
    to services: [String], id: String = "a", _ arguments: [String] = []
  ) async throws -> Program {
    let agent = try dial(to: services, id: id, arguments)
    try await agent.waitFor("registered as \(id)")
    return agent
  }

  func client() throws -> TestSocket { try TestSocket.connected(to: clientPort) }
}

/// Runs the body with a server, and ends it.
func withTunnel<Result>(
  _ arguments: [String] = [], clients: [String] = ["a=127.0.0.1:0"],
  authorization: [String]? = nil, _ body: (Tunnel) async throws -> Result
) async throws -> Result {
  try await withFile("open sesame\n") { path in
    let tunnel = try await Tunnel(
      arguments, clients: clients, authorization: authorization, tokenPath: path)
    defer { tunnel.server.end() }
    return try await body(tunnel)
  }
}

/// Runs the body with a server, an agent and an echoing service.
func withEcho<Result>(
  _ arguments: [String] = [], _ body: (Tunnel, Program) async throws -> Result
) async throws -> Result {
  try await withService { service in
    try await withTunnel(arguments) { tunnel in
      let agent = try await tunnel.agent(to: [service.address])
      defer { agent.end() }
      return try await body(tunnel, agent)
    }
  }
}

/// Runs the body with the path of a script that can be run.
func withScript<Result>(
  _ text: String, _ body: (String) async throws -> Result
) async throws -> Result {
  try await withFile("#!/bin/sh\n\(text)\n") { path in
    chmod(path, 0o700)
    return try await body(path)
  }
}

/// What is in a file; nothing if there is none.
func contents(of path: String) -> String {
  guard let file = fopen(path, "re") else { return "" }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  while let byte = Optional(fgetc(file)), byte != EOF { bytes.append(UInt8(byte)) }
  return String(decoding: bytes, as: UTF8.self)
}

/// So many bytes in which every position has its own look, in a sequence that the seed names.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
  var random = SeededRandom(seed: seed)
  var bytes = [UInt8](repeating: 0, count: count)
  bytes.withUnsafeMutableBytes { buffer in
    let words = buffer.bindMemory(to: UInt64.self)
    for index in words.indices { words[index] = random.next() }
  }
  return bytes
}

extension TestSocket {
  /// Sends bytes and the end, and reads everything up to the end at the same time.
  ///
  /// - Returns: nil if it did not end in order.
  func exchange(_ bytes: [UInt8]) -> [UInt8]? {
    let sender = Worker {
      bytes.withUnsafeBytes { _ = self.send($0) }
      self.finish()
    }
    defer { sender.join() }
    return receiveAll()
  }
}
