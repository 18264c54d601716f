import FDHTTP
import FDNet
import Glibc
import ReverseProxy
import TestKit
import Testing

/// Origins that are killed and started again while requests come.
@Suite(.everyBackend, .ledger, .proxyLedger) struct HTTPOutageTests {
  @Test(arguments: [1, 3]) func `no request that may be repeated is lost`(
    _ threads: Int
  ) async throws {
    let origins = Guarded((0..<2).map { _ in ScriptedOrigin(answers: ok) })
    let ports = origins.value.map(\.port)
    try await withProxy(threads: threads, to: origins.value) {
      $0.groups[0].ejectTime = .milliseconds(50)
    } _: { test in
      let isOver = Tally()
      let asked = (0..<6).map { _ in Tally() }
      let other = Guarded<[String]>([])
      await Crew.run(7) { number in
        if number == 6 {
          var random = SeededRandom(seed: 6)
          for _ in 0..<10 {
            let index = Int.random(in: 0..<2, using: &random)
            origins.value[index].stop()
            usleep(UInt32.random(in: 0..<20_000, using: &random))
            let new = ScriptedOrigin(port: ports[index], answers: ok)
            origins.withLock { $0[index] = new }
            // No request outlasts two outages: it might find both of them down. So everybody has asked
            // twice since, and somebody the new one.
            let goals = asked.map { $0.value + 2 }
            let end = ContinuousClock.now + .seconds(60)
            while ContinuousClock.now < end, other.value.isEmpty,
              new.links.isEmpty || zip(asked, goals).contains(where: { $0.value < $1 })
            {
              usleep(1000)
            }
          }
          isOver.value = 1
          return
        }
        let client = test.client()
        while isOver.value == 0 {
          client.send(get("/\(number)"))
          let answer = client.takeAnswer()
          asked[number].add()
          if answer?.bodyText != "ok" {
            other.withLock { $0.append(answer?.head ?? "\(client.ending, default: "nothing")") }
            if answer == nil { return }
          }
        }
      }
      #expect(other.value == [])
      #expect(asked.allSatisfy { $0.value >= 20 })
      #expect(test.retries > 0)
    }
    for origin in origins.value { origin.stop() }
  }
}
