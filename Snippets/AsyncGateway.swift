import FDAsync
import FDNet
import FDPoller

struct NotOneLine: Error {}

/// The next line of a connection whose peer sends one and waits; nil at the end of its input.
func line(from connection: AsyncConnection) async throws -> [UInt8]? {
  var line: [UInt8] = []
  while line.last != UInt8(ascii: "\n") {
    let isOpen: Void? = try await connection.read { bytes in
      bytes.withUnsafeBytes { line += $0 }
    }
    guard isOpen != nil else { return nil }
    guard line.count <= 4096, !line.dropLast().contains(UInt8(ascii: "\n")) else {
      throw NotOneLine()
    }
  }
  return line
}

/// Answers each line of a client with what the server behind says to it.
struct Gateway: Sendable {
  let pool: ConnectionPool
  let server: SocketAddress

  func answer(_ question: [UInt8]) async throws -> [UInt8]? {
    try await withDeadline(.seconds(5)) {
      try await pool.withConnection(to: server, deadline: .seconds(2)) { upstream in
        upstream.write(question)
        return try await line(from: upstream)
      }
    }
  }

  func serve(_ client: AsyncConnection) async throws {
    while let question = try await line(from: client) {
      guard let answer = try await answer(question) else { return }
      client.write(answer)
      try await client.drained()
    }
  }
}

/// Echoes, and reminds the client of it every ten seconds.
func remind(_ client: AsyncConnection) async throws {
  let reminders = client.detach { client in
    while true {
      try await client.connection.loop.sleep(for: .seconds(10))
      client.write("still here\n")
    }
  }
  defer { reminders.cancel() }
  while try await client.read({ client.write($0) }) != nil {}
}

/// Takes a client to another loop, with its tasks.
func relocate(_ client: AsyncConnection, to loop: EventLoop) async {
  switch await client.move(to: loop) {
  case .moved: print("on \(loop)")
  case .busy: print("in the midst of something")
  case .closed: print("gone")
  }
}

let addresses = try CommandLine.arguments.dropFirst().map { try SocketAddress(parsing: $0) }
guard addresses.count == 2 else { fatalError("usage: AsyncGateway ADDRESS SERVER") }
try await withPoller(threads: 2) { poller in
  let gateway = Gateway(pool: ConnectionPool(on: poller), server: addresses[1])
  let listener = try AsyncListener(
    addresses[0], on: poller,
    settings: ConnectionSettings(idleDeadline: .seconds(60), writeDeadline: .seconds(10)))
  let service = Task.detached {
    await listener.serve(onFailure: { print("\($1)") }) { try await gateway.serve($0) }
  }
  print("asking \(gateway.server) on \(listener.address) until the input ends")
  while readLine() != nil {}
  service.cancel()
  await service.value
}
