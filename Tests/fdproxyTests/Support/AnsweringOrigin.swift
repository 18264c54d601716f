import FDHTTP
import FDNet
import FDPoller

/// An HTTP server of a test's own that answers with its name and the path that it was asked for.
final class AnsweringOrigin {
  private let poller: Poller
  private let server: HTTPServer

  var address: String { "\(server.address)" }

  init(_ name: String) throws {
    poller = try Poller()
    try poller.start()
    do {
      server = try HTTPServer(.loopback(port: 0), on: poller) { Answers(name) }
    } catch {
      try poller.stop()
      throw error
    }
  }

  func stop() {
    server.drain()
    try? poller.stop()
  }

  private final class Answers: HTTPRequestHandler {
    private let name: String

    init(_ name: String) { self.name = name }

    func requested(_ head: borrowing HTTPRequestHead, on connection: HTTPServerConnection) {
      let path = head.pathAndQuery.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
      let answer = "\(name) \(path)\n"
      guard path.hasPrefix("/slow") else { return connection.respond(.ok, answer) }
      connection.begin(.ok, .chunked)
      drip(Array(answer.utf8)[...], on: connection)
    }

    /// A byte at a time, for half a second or so.
    private func drip(_ bytes: ArraySlice<UInt8>, on connection: HTTPServerConnection) {
      guard !bytes.isEmpty else { return connection.finish() }
      let first = [bytes[bytes.startIndex]]
      connection.send(first.span.bytes)
      connection.connection.loop.schedule(after: .milliseconds(50)) {
        self.drip(bytes.dropFirst(), on: connection)
      }
    }
  }
}
