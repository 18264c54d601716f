import FDHTTP
import FDNet
import FDPoller
import Glibc
import ReverseProxy
import TestKit
import Testing

/// Clients whose connections are moved between loops between two requests.
@Suite(.everyBackend, .ledger, .proxyLedger) struct HTTPMoveTests {
  /// Answers with the path and the length of the body.
  private static func makeOrigin() -> ScriptedOrigin {
    ScriptedOrigin { link in
      while let request = link.takeRequest() {
        let path = request.firstLine.split(separator: " ")[1]
        let body = "\(path) \(request.body.count)"
        link.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
      }
    }
  }

  @Test func `every answer is that of its request, however connections move`() async throws {
    let origin = Self.makeOrigin()
    try await withProxy(threads: 3, to: [origin]) {
      $0.pool.reuse = .always
    } _: { test in
      let loops = test.poller.loops
      let (working, wrong, requests) = (Tally(6), Tally(), Tally())
      await Crew.run(7) { number in
        if number == 6 {
          var turn = 0
          while working.value > 0 {
            test.proxy.service.move(
              2, from: loops[turn % 3], to: loops[(turn + 1 + turn / 3 % 2) % 3])
            turn += 1
            usleep(200)
          }
          return
        }
        let client = test.client()
        for round in 0..<(TestRun.isSanitized ? 40 : 120) {
          let ahead = 1 + (round + number) % 4
          var batch = ""
          for step in 0..<ahead {
            let path = "/\(number).\(round).\(step)"
            batch +=
              step % 2 == 0
              ? get(path)
              : "POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(step)\r\n\r\n"
                + String(repeating: "x", count: step)
          }
          // A request that is cut in two is no reason to stay.
          let cut = batch.utf8.count * (round % 10) / 10
          client.send(Array(batch.utf8.prefix(cut)))
          if cut > 0 { sched_yield() }
          client.send(Array(batch.utf8.dropFirst(cut)))
          for step in 0..<ahead {
            let expected = "/\(number).\(round).\(step) \(step % 2 == 0 ? 0 : step)"
            if client.takeAnswer()?.bodyText != expected { wrong.add() }
            requests.add()
          }
          if wrong.value > 5 { break }
        }
        working.add(-1)
      }
      #expect(wrong.value == 0)
      #expect(requests.value == origin.requests.count)
      #expect(test.proxy.service.statistics.moves > 0)
    }
  }

  @Test func `what is on its way to another loop when a drain begins ends as well`() async throws {
    let origin = Self.makeOrigin()
    try await withProxy(threads: 3, to: [origin]) { test in
      let clients = (0..<30).map { _ in test.client() }
      for client in clients {
        client.send(get())
        #expect(client.takeAnswer()?.status == 200)
      }
      let loops = test.poller.loops
      for turn in 0..<3 {
        test.proxy.service.move(30, from: loops[turn], to: loops[(turn + 1) % 3])
      }
      test.proxy.drain()
      for client in clients {
        #expect(client.takeAll() == [] && client.ending == .end)
        client.close()
      }
      #expect(await eventually { test.isDrained })
    }
  }
}
