import TestKit

/// Clients that ask all the time, some with a connection for each request, some with one for many,
/// and see to it that each request has its whole answer.
final class HTTPLoad: Sendable {
  let answers = Tally()
  /// Requests that the close of an idle connection has crossed, and which were repeated.
  let crossed = Tally()
  let failures = Guarded<[String]>([])
  private let isOver = Tally()
  private let port: UInt16

  init(at port: UInt16) { self.port = port }

  /// Runs the body under the load.
  func run(_ body: () async throws -> Void) async throws {
    let clients = (0..<4).map { number in
      Worker { [self] in if number < 2 { useEachOnce(number) } else { keepAlive(number) } }
    }
    defer { for client in clients { client.join() } }
    defer { isOver.add() }
    try await body()
  }

  /// So many more answers, or a failure.
  func goOn(_ count: Int = 100) async {
    let goal = answers.value + count
    _ = await eventually { answers.value >= goal || !failures.value.isEmpty }
  }

  private func fail(_ text: String) { failures.withLock { $0.append(text) } }

  private func useEachOnce(_ client: Int) {
    var number = 0
    while isOver.value == 0 {
      number += 1
      do {
        let path = "/\(client)/\(number)"
        let answer = try HTTPClient(to: port).get(path, closing: true)
        if let answer, answer.hasSuffix(" \(path)\n") {
          answers.add()
        } else {
          fail("a new connection: \(answer ?? "closed before an answer") for \(path)")
        }
      } catch {
        fail("\(error)")
      }
    }
  }

  private func keepAlive(_ client: Int) {
    var (number, served) = (0, 0)
    var connection: HTTPClient?
    while isOver.value == 0 {
      do {
        let current = try connection ?? HTTPClient(to: port)
        connection = current
        let path = "/\(client)/\(number)"
        let answer = try current.get(path)
        switch answer {
        case nil where served > 0:
          crossed.add()
          (connection, served) = (nil, 0)
        case let answer? where answer.hasSuffix(" \(path)\n"):
          answers.add()
          number += 1
          served += 1
          if current.isClosing { (connection, served) = (nil, 0) }
        default:
          fail("request \(served) of a connection: \(answer ?? "closed") for \(path)")
          (connection, served) = (nil, 0)
        }
      } catch {
        fail("\(error)")
        connection = nil
      }
    }
  }
}

/// A blocking client that knows as much of HTTP as fdproxy's answers in a test need.
/// One thread at a time.
final class HTTPClient: @unchecked Sendable {
  private let socket: TestSocket
  private var unread = ""
  /// The last answer says that no other follows.
  private(set) var isClosing = false

  init(to port: UInt16) throws { socket = try .connected(to: port) }

  init(toPath path: String) throws { socket = try .connected(toPath: path) }

  /// The body of the answer; nil if the connection ends before any of it has come.
  ///
  /// - Throws: if it ends amid an answer.
  func get(_ path: String, closing: Bool = false) throws -> String? {
    let close = closing ? "Connection: close\r\n" : ""
    // If it is not taken, the answer will not come.
    socket.send("GET \(path) HTTP/1.1\r\nHost: test\r\n\(close)\r\n")
    var text = unread
    while true {
      if let (body, rest) = split(text) {
        unread = rest
        return body
      }
      switch socket.receive() {
      case .bytes(let bytes): text += String(decoding: bytes, as: UTF8.self)
      case .end, .reset, .failed(_):
        guard text.isEmpty else { throw Failure(description: "cut off: \(text.debugDescription)") }
        return nil
      case .nothingYet: throw Failure(description: "no answer in time to \(path)")
      }
    }
  }

  struct Failure: Error, CustomStringConvertible { let description: String }

  /// The body of the first answer and what follows it; nil if it is not whole.
  private func split(_ text: String) -> (String, String)? {
    guard let end = text.firstRange(of: "\r\n\r\n") else { return nil }
    let lines = text[..<end.lowerBound].lowercased().split(separator: "\r\n")
    isClosing = lines.contains("connection: close")
    let rest = text[end.upperBound...]
    if lines.contains("transfer-encoding: chunked") { return splitChunks(rest) }
    let field = lines.first { $0.hasPrefix("content-length: ") }
    guard let length = field.flatMap({ Int($0.dropFirst(16)) }), rest.utf8.count >= length else {
      return nil
    }
    return (
      String(decoding: rest.utf8.prefix(length), as: UTF8.self),
      String(decoding: rest.utf8.dropFirst(length), as: UTF8.self)
    )
  }

  private func splitChunks(_ text: Substring) -> (String, String)? {
    var (body, rest) = ("", text)
    while let line = rest.firstRange(of: "\r\n") {
      guard let size = Int(rest[..<line.lowerBound], radix: 16) else { return nil }
      let chunk = rest[line.upperBound...]
      guard chunk.utf8.count >= size + 2 else { return nil }
      body += String(decoding: chunk.utf8.prefix(size), as: UTF8.self)
      rest = chunk.dropFirst(size + 1)
      if size == 0 { return (body, String(rest)) }
    }
    return nil
  }
}
