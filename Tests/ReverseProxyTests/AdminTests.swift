import CShims
import FDHTTP
import FDNet
import Glibc
import Logging
import TestKit
import Testing

@testable import FDPoller
@testable import ReverseProxy

@Suite("The admin address", .everyBackend, .serialized, .ledger)
struct AdminTests {
  @Test("metrics are in the format of Prometheus, and add up after a load")
  func metrics() async throws {
    try await AdminStage.with { stage in
      let count = 40
      let clients = try (0..<4).map { _ in try PlainClient(to: stage.clients) }
      for _ in 0..<count / 4 {
        for client in clients { #expect(try client.ask("/").status == 200) }
      }
      #expect(try clients[0].ask("/", "TRACE").status == 405)
      let bad = try PlainClient(to: stage.clients)
      try bad.send("GET / HTTP/1.1\r\n\r\n")
      #expect(try bad.answer().status == 400)
      let broken = try PlainClient(to: stage.clients)
      try broken.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
      #expect(try broken.answer().status == 400)

      // When it is at rest: what has asked before is closed, and the pool has its connections again.
      let found = try await stage.metrics { found in
        found.sum("fdproxy_backend_sessions") == 0
          && live(found) == found.sum("fdproxy_descriptors")
      }
      let requests = found.sum("fdproxy_requests_total")
      #expect(requests == count + 2)
      #expect(found.sum("fdproxy_requests_refused_total", where: "head") == 1)
      #expect(
        requests + found.sum("fdproxy_requests_refused_total", where: "head")
          == found.sum("fdproxy_answers_total") + found.sum("fdproxy_requests_unanswered_total"))
      #expect(found.sum("fdproxy_answers_total", where: "2xx") >= count)
      #expect(found.sum("fdproxy_answers_own_total") >= 2)
      #expect(found.sum("fdproxy_sent_bytes_total") >= count * 6)
      #expect(found.sum("fdproxy_clients") >= 4)
      #expect(
        found.sum("fdproxy_pool_kept_total")
          == found.sum("fdproxy_pool_idle") + found.sum("fdproxy_pool_reused_locally_total")
          + found.sum("fdproxy_pool_taken_over_total") + found.sum("fdproxy_pool_purged_total")
          + found.sum("fdproxy_pool_stale_total"))
      #expect(found.sum("fdproxy_pool_kept_total") > 0)
      #expect(found.sum("fdproxy_backend_up") == 2)
      #expect(found.sum("fdproxy_backend_connected_total") >= count)
      #expect(found.sum("fdproxy_loop_ticks_total", where: "proxy-1") > 0)
      #expect(live(found) == found.sum("fdproxy_descriptors"))
      #expect(found.samples[#"fdproxy_group_queue_length{group="web \"1\"\\"}"#] == 0)
      #expect(found.sum("fdproxy_info", where: "io=\"\(TestedBackend.name)\"") == 1)
      #expect(found.sum("fdproxy_start_time_seconds") > 1_700_000_000)
    }
  }

  private func live(_ found: Exposition) -> Int {
    found.sum("fdproxy_loop_descriptors_inserted_total") - found.sum("fdproxy_loop_closes_total")
  }

  @Test("a client that goes before the answer is counted as one without an answer")
  func unanswered() async throws {
    let silent = try SilentOrigin()
    try await AdminStage.with {
      $0.groups[0].backends = [NamedAddress(silent.address)]
    } body: { stage in
      var client: PlainClient? = try PlainClient(to: stage.clients)
      try client?.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      let waiting = try await stage.metrics { $0.sum("fdproxy_backend_sessions") == 1 }
      #expect(waiting.sum("fdproxy_requests_total") == 1)
      #expect(waiting.sum("fdproxy_answers_total") == 0)
      client?.resetAtEnd()
      client = nil
      let gone = try await stage.metrics { $0.sum("fdproxy_requests_unanswered_total") == 1 }
      #expect(gone.sum("fdproxy_requests_unanswered_total") == 1)
      #expect(gone.sum("fdproxy_answers_total") == 0)
    }
  }

  @Test("statistics are the same numbers as JSON")
  func stats() async throws {
    try await AdminStage.with { stage in
      #expect(try PlainClient(to: stage.clients).ask("/").status == 200)
      let answer = try stage.ask("/stats")
      #expect(answer.field("Content-Type") == "application/json")
      let names = Set(try stage.metrics().types.keys)
      #expect(JSONShape.check(answer.body))
      for name in names { #expect(answer.body.contains("\"\(name)\": ")) }
      #expect(answer.body.contains("\"fdproxy_requests_total\": 1,"))
      #expect(answer.body.contains(#"{"group": "web \"1\"\\", "value": 0}"#))
    }
  }

  @Test("unknown paths, methods and parameters are refused in words")
  func refusals() async throws {
    try await AdminStage.with { stage in
      func expect(
        _ status: Int, _ text: String, _ target: String, _ method: String = "GET",
        location: SourceLocation = #_sourceLocation
      ) throws -> RawAnswer {
        let answer = try stage.ask(target, method)
        #expect(answer.status == status, sourceLocation: location)
        #expect(answer.body.contains(text), "\(answer.body)", sourceLocation: location)
        return answer
      }
      _ = try expect(200, "POST /move", "/")
      _ = try expect(404, "there is no /metric;", "/metric")
      #expect(try expect(405, "GET, HEAD", "/fds", "POST").field("Allow") == "GET, HEAD")
      #expect(try expect(405, "POST", "/move?spread=1").field("Allow") == "POST")
      _ = try expect(400, "say from and to", "/move", "POST")
      _ = try expect(400, "say from and to", "/move?from=0", "POST")
      _ = try expect(400, "to is a number from 0 to 1, not \"2\"", "/move?from=0&to=2", "POST")
      _ = try expect(400, "the same loop", "/move?from=1&to=1", "POST")
      _ = try expect(400, "count is a number, at least 1", "/move?from=0&to=1&count=0", "POST")
      _ = try expect(400, "from is there twice", "/move?from=0&from=0&to=1", "POST")
      _ = try expect(400, "no parameter \"speed\"", "/move?spread=1&speed=2", "POST")
      _ = try expect(400, "all is a number from 0 to 1, not \"yes\"", "/fds?all=yes")
      _ = try expect(400, "no parameter \"x\"", "/metrics?x=1")
      for target in ["/", "/metrics", "/stats", "/fds"] {
        let client = try PlainClient(to: stage.admin)
        #expect(try client.ask(target, "HEAD").status == 200)
        #expect(try client.ask("/").status == 200)
      }
    }
  }

  @Test("clients are moved from loop to loop, and go on")
  func moves() async throws {
    try await AdminStage.with { stage in
      let clients = try (0..<12).map { _ in try PlainClient(to: stage.clients) }
      for client in clients { #expect(try client.ask("/").status == 200) }
      let service = stage.proxy.service
      let here = service.connectionCounts[0]
      let answer = try stage.ask("/move?from=0&to=1", "POST")
      #expect(answer.body == "loop 0 to loop 1: \(here)\n\(here) clients asked to move\n")
      #expect(await eventually { service.connectionCounts == [0, 12] })
      for client in clients { #expect(try client.ask("/").status == 200) }
      #expect(
        try stage.ask("/move?from=1&to=0&count=2", "POST").body.hasSuffix(
          "2 clients asked to move\n"))
      #expect(await eventually { service.connectionCounts == [2, 10] })
      #expect(try stage.ask("/move?spread=1", "POST").body.hasPrefix("loop 1 to loop 0: 4\n"))
      #expect(await eventually { service.connectionCounts == [6, 6] })
      #expect(try stage.ask("/move?spread=1", "POST").body == "0 clients asked to move\n")
      for client in clients { #expect(try client.ask("/").status == 200) }
      #expect(try stage.metrics().sum("fdproxy_client_moves_total") == here + 6)
    }
  }

  @Test(
    "clients are evened out with as few moves as there can be",
    arguments: [
      ([5, 5], []), ([0, 7], ["1>0 3"]), ([9, 0, 0], ["0>1 3", "0>2 3"]),
      ([1, 2, 9, 4], ["2>0 3", "2>1 2"]), ([0, 0], []), ([1, 0, 0], []),
    ])
  func evening(_ counts: [Int], _ moves: [String]) {
    let found = ClientMoves.evening(counts).map { "\($0.from)>\($0.to) \($0.count)" }
    #expect(found == moves)
  }

  @Test("a reload moves the admin address, and a drain closes it last")
  func lifetime() async throws {
    try await AdminStage.with { stage in
      var configuration = stage.proxy.plan.configuration
      configuration.admin = NamedAddress(.loopback(port: 0))
      // Port 0 is the same address in words, so nothing changes.
      _ = try stage.proxy.reload(configuration)
      #expect(stage.proxy.adminAddresses == [stage.admin])
      configuration.admin = NamedAddress(name: "other", addresses: [.loopback(port: 0)])
      _ = try stage.proxy.reload(configuration)
      let other = try #require(stage.proxy.adminAddresses.first)
      #expect(other != stage.admin)
      #expect(await eventually { (try? PlainClient(to: stage.admin).ask("/")) == nil })
      #expect(try PlainClient(to: other).ask("/").status == 200)

      // A request under way holds up the drain, and the admin address answers meanwhile.
      var client: PlainClient? = try PlainClient(to: stage.clients)
      try client?.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
      #expect(await eventually { stage.proxy.service.statistics.requests == 1 })
      stage.proxy.drain()
      #expect(await eventually { (try? PlainClient(to: stage.clients).ask("/")) == nil })
      #expect(try PlainClient(to: other).ask("/metrics").status == 200)
      #expect(stage.drained.value == 0)
      try client?.send("llo")
      #expect(try client?.answer().status == 200)
      client = nil
      #expect(await eventually { stage.drained.value == 1 })
      #expect(await eventually { (try? PlainClient(to: other).ask("/")) == nil })
    }
  }
}

/// Accepts nobody, though the kernel does for it.
private final class SilentOrigin {
  private let fd: Int32
  let address: SocketAddress

  init() throws {
    fd = fdp_socket(AF_INET, Int32(SOCK_STREAM.rawValue))
    let fd = fd
    let result = SocketAddress.loopback(port: 0).withSockAddr { fdp_bind(fd, $0, $1) }
    try #require(result == 0 && fdp_listen(fd, 8) == 0)
    address = try #require(SocketAddress.reading { fdp_local_address(fd, $0, $1) })
  }

  deinit { close(fd) }
}
