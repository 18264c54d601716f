import NIOCore
import NIOHTTP1
import NIOPosix

typealias EchoChannel = NIOAsyncChannel<ByteBuffer, ByteBuffer>
typealias HTTPChannel = NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>

/// Sends back what comes: a task for each client.
func serveEcho(_ bootstrap: ServerBootstrap, _ port: UInt16) async throws {
  let server = try await bootstrap.bind(host: "127.0.0.1", port: Int(port)) { channel in
    channel.eventLoop.makeCompletedFuture { try EchoChannel(wrappingChannelSynchronously: channel) }
  }
  try await serve(server) { client in
    try await client.executeThenClose { inbound, outbound in
      for try await bytes in inbound { try await outbound.write(bytes) }
    }
  }
}

/// Answers every request with the same text: a task for each client, three parts in one write.
func serveHTTP(_ bootstrap: ServerBootstrap, _ port: UInt16) async throws {
  let server = try await bootstrap.bind(host: "127.0.0.1", port: Int(port)) { channel in
    channel.eventLoop.makeCompletedFuture {
      try channel.pipeline.syncOperations.configureHTTPServerPipeline(
        withPipeliningAssistance: false)
      return try HTTPChannel(wrappingChannelSynchronously: channel)
    }
  }
  let answer: [HTTPServerResponsePart] = [
    .head(Greeting.head(keepsAlive: true)), .body(.byteBuffer(ByteBuffer(string: Greeting.text))),
    .end(nil),
  ]
  let lastAnswer = [.head(Greeting.head(keepsAlive: false))] + answer.dropFirst()
  try await serve(server) { client in
    try await client.executeThenClose { inbound, outbound in
      var keepsAlive = true
      for try await part in inbound {
        switch part {
        case .head(let head): keepsAlive = head.isKeepAlive
        case .body: break
        case .end:
          try await outbound.write(contentsOf: keepsAlive ? answer : lastAnswer)
          if !keepsAlive { return }
        }
      }
    }
  }
}

/// Accepts clients, and gives each a task. What goes wrong ends only the client that it happens to.
private func serve<Client: Sendable>(
  _ server: NIOAsyncChannel<Client, Never>,
  _ body: @escaping @Sendable (Client) async throws -> Void
) async throws {
  try await withThrowingDiscardingTaskGroup { group in
    try await server.executeThenClose { clients in
      for try await client in clients {
        group.addTask { try? await body(client) }
      }
    }
  }
}
