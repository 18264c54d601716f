import FDHTTP
import FDNet
import FDPoller
import Glibc
import ReverseProxy
import TestKit
import Testing

/// Random requests, answered in random ways: whatever the framings, the pieces and the connections,
/// every answer is that of its request.
@Suite(.everyBackend, .ledger, .proxyLedger) struct HTTPConversationTests {
  /// What an origin answers: what it has understood of the request.
  private static func digest(
    _ method: some StringProtocol, _ path: some StringProtocol, _ body: [UInt8]
  ) -> String {
    let sum = body.reduce(UInt32(17)) { $0 &* 31 &+ UInt32($1) }
    return "\(method) \(path) \(body.count) \(sum);"
  }

  private static func inChunks(_ bytes: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
    var (chunks, offset): ([UInt8], Int) = ([], 0)
    while offset < bytes.count {
      let end = min(
        bytes.count, offset + Int.random(in: 1...max(1, bytes.count / 2), using: &random))
      let mark = Bool.random(using: &random) ? ";x=\"y\"" : ""
      chunks += Array("\(String(end - offset, radix: 16))\(mark)\r\n".utf8)
      chunks += bytes[offset..<end] + [13, 10]
      offset = end
    }
    return chunks + Array((Bool.random(using: &random) ? "0\r\n\r\n" : "00\r\nX-T: 1\r\n\r\n").utf8)
  }

  private static func send(_ bytes: [UInt8], to socket: RawSocket, _ random: inout SeededRandom) {
    guard Int.random(in: 0..<3, using: &random) == 0 else {
      socket.send(bytes)
      return
    }
    var offset = 0
    while offset < bytes.count {
      let end = min(
        bytes.count, offset + Int.random(in: 1...max(40, bytes.count / 3), using: &random))
      guard socket.send(Array(bytes[offset..<end])) else { return }
      if Int.random(in: 0..<4, using: &random) == 0 { usleep(200) }
      offset = end
    }
  }

  private static func answer(_ link: OriginLink, seed: UInt64) {
    var random = SeededRandom(seed: seed)
    while let request = link.takeRequest() {
      let parts = request.firstLine.split(separator: " ")
      let repeats = Int.random(in: 0..<20, using: &random) == 0 ? 3000 : 1
      let body = Array(
        String(repeating: Self.digest(parts[0], parts[1], request.body), count: repeats).utf8)
      let mark = "X-Digest: \(Self.digest(parts[0], parts[1], request.body))\r\n"
      var bytes = [UInt8]()
      if Int.random(in: 0..<8, using: &random) == 0 {
        bytes += Array("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".utf8)
      }
      let ends = Int.random(in: 0..<10, using: &random) == 0 || request["Connection"] == "close"
      let close = ends ? "Connection: close\r\n" : ""
      let isHead = parts[0] == "HEAD"
      switch Int.random(in: 0..<10, using: &random) {
      case 0 where ends:
        bytes += Array("HTTP/1.0 200 OK\r\n\(mark)\r\n".utf8) + (isHead ? [] : body)
      case 1:
        bytes += Array("HTTP/1.1 204 No Content\r\n\(mark)\(close)\r\n".utf8)
      case 2...5:
        bytes += Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\(mark)\(close)\r\n".utf8)
        if !isHead { bytes += Self.inChunks(body, &random) }
      default:
        bytes += Array(
          "HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\(mark)\(close)\r\n".utf8)
        if !isHead { bytes += body }
      }
      Self.send(bytes, to: link.socket, &random)
      if ends { return }
    }
  }

  /// A request, and what its answer is to show.
  private static func request(
    _ path: String, _ random: inout SeededRandom
  ) -> (bytes: [UInt8], method: String, digest: String) {
    let methods = ["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS"]
    let method = methods.randomElement(using: &random) ?? ""
    let hasBody = method == "POST" || method == "PUT" || Int.random(in: 0..<10, using: &random) == 0
    let size = Int.random(
      in: 0..<(Int.random(in: 0..<20, using: &random) == 0 ? 300_000 : 300), using: &random)
    let body = hasBody ? (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) } : []
    var head = "\(method) \(path) HTTP/1.1\r\nHost: a\r\n"
    let isChunked = hasBody && Bool.random(using: &random)
    if isChunked { head += "Transfer-Encoding: chunked\r\n" }
    if hasBody && !isChunked { head += "Content-Length: \(size)\r\n" }
    let rest = isChunked ? Self.inChunks(body, &random) : body
    return (Array("\(head)\r\n".utf8) + rest, method, Self.digest(method, path, body))
  }

  @Test(arguments: [1, 3]) func `every answer is that of its request`(_ threads: Int) async throws {
    let rounds = TestRun.isSanitized ? 12 : 25
    let seeds = Tally()
    let origin = ScriptedOrigin { Self.answer($0, seed: UInt64(seeds.add())) }
    try await withProxy(threads: threads, to: [origin]) {
      $0.pool.reuse = .always
      $0.groups[0].connectionsPerBackend = 4
    } _: { test in
      let (working, answered) = (Tally(6), Tally())
      let wrong = Guarded<[String]>([])
      await Crew.run(7) { number in
        guard number < 6 else {
          let loops = test.poller.loops
          var moves = 0
          while working.value > 0 {
            // Not by the clock: connections that do nothing but move get nowhere on a busy machine.
            guard moves <= 20 * answered.value else {
              usleep(500)
              continue
            }
            moves += 1
            let (from, to) = (Int.random(in: 0..<threads), Int.random(in: 0..<threads))
            test.proxy.service.move(1, from: loops[from], to: loops[to])
            usleep(500)
          }
          return
        }
        var random = SeededRandom(seed: UInt64(number) + 1000)
        let client = test.client()
        for round in 0..<rounds where wrong.value.isEmpty {
          let batch = (0..<Int.random(in: 1...4, using: &random)).map {
            Self.request("/\(number).\(round).\($0)", &random)
          }
          let bytes = batch.flatMap(\.bytes)
          let sending = random
          let sender = startThread {
            var random = sending
            Self.send(bytes, to: client, &random)
          }
          for request in batch {
            var answer = client.takeAnswer(to: request.method)
            while answer?.status == 103 { answer = client.takeAnswer(to: request.method) }
            let text = answer?.bodyText ?? ""
            let isRight =
              answer?["X-Digest"] == request.digest && answer?.isWhole == true
              && (request.method == "HEAD" || answer?.status == 204
                || text.hasPrefix(request.digest))
            if isRight {
              answered.add()
            } else {
              wrong.withLock {
                $0.append("\(request.digest): \(answer?.head ?? "\(client.ending, default: "?")")")
              }
              break
            }
          }
          if !wrong.value.isEmpty { client.shutDown() }
          joinThread(sender)
        }
        working.add(-1)
      }
      #expect(wrong.value == [])
      #expect(answered.value > 8 * rounds)
    }
  }
}
