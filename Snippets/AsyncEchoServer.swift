import FDAsync
import FDNet
import FDPoller

let text = CommandLine.arguments.dropFirst().first ?? "127.0.0.1:7000"
try await withPoller(threads: 2) { poller in
  let listener = try AsyncListener(SocketAddress(parsing: text), on: poller)
  let service = Task.detached {
    await listener.serve { connection in
      while try await connection.read({ connection.write($0) }) != nil {
        try await connection.drained()
      }
    }
  }
  print("echoing on \(listener.address) until the input ends")
  while readLine() != nil {}
  service.cancel()
  await service.value
}
