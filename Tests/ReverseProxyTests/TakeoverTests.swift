import FDNet
import FDPoller
import Glibc
import Synchronization
import SystemPackage
import TestKit
import Testing

@testable import ReverseProxy

@Suite("Sockets that go to a successor", .serialized, .everyBackend, .ledger)
struct TakeoverTests {
  struct Change: Sendable, CustomTestStringConvertible {
    enum Kind: CaseIterable { case tcpPerLoop, tcpPerGroup, unix }
    let kind: Kind
    let before: Int
    let after: Int
    var testDescription: String { "\(kind), \(before) to \(after) loops" }

    static let all = Kind.allCases.flatMap { kind in
      [(1, 3), (2, 2), (3, 1)].map { Change(kind: kind, before: $0, after: $1) }
    }

    func address(in folder: String) throws -> SocketAddress {
      kind == .unix ? try .unix(path: folder + "/server") : .loopback(port: 0)
    }
    var sharing: Listener.Sharing { kind == .tcpPerLoop ? .socketPerLoop : .socketPerGroup }
  }

  /// Clients that come all the time.
  private final class Load: Sendable {
    let answers = Tally()
    let isOver = Tally()
    let failures = Guarded<[String]>([])

    func run(at address: SocketAddress) async {
      await Crew.run(3) { [self] crew in
        var number = 0
        while isOver.value == 0 {
          number += 1
          let text = "client \(crew) \(number)"
          do {
            let answer = try PlainClient(to: address).echo(text)
            if answer != text { failures.withLock { $0.append("\(answer) for \(text)") } }
            answers.add()
          } catch {
            failures.withLock { $0.append("\(text): \(error)") }
          }
        }
      }
    }

    func waitForMore(_ count: Int = 60) async -> Bool {
      let goal = answers.value + count
      return await eventually { answers.value >= goal || !failures.value.isEmpty }
    }
  }

  @Test("under load no client is refused, and none loses its answer", arguments: Change.all)
  func underLoad(change: Change) async throws {
    try await withFolder { folder in
      try await withTestedPoller(threads: change.before) { old in
        try await withTestedPoller(threads: change.after) { new in
          try await transfer(change, folder, from: old, to: new)
        }
      }
    }
  }

  private func transfer(
    _ change: Change, _ folder: String, from old: Poller, to new: Poller
  ) async throws {
    let (formerOpen, open, gone) = (Tally(), Tally(), Tally())
    let former = try Listener(
      change.address(in: folder), on: old, sharing: change.sharing
    ) { _ in Echo(formerOpen) }
    let server = try TakeoverServer(path: folder + "/takeover", LogBook().logger) {
      [(former.address, try former.duplicatedDescriptors())]
    } handOver: {
      former.handOver { gone.add() }
    }
    defer { server.close() }
    let load = Load()
    let running = Task { await load.run(at: former.address) }
    // A throw must not leave clients behind that come for ever.
    defer { load.isOver.value = 1 }
    let keptAlive = try PlainClient(to: former.address)
    #expect(try keptAlive.echo("before") == "before")
    #expect(await load.waitForMore())

    let takeover = try TakeoverClient.take(path: folder + "/takeover")
    #expect(takeover.addresses == [former.address])
    let successor = try Listener(
      adopting: takeover.descriptors(for: former.address), at: former.address, on: new,
      sharing: change.sharing
    ) { _ in Echo(open) }
    #expect(await load.waitForMore())
    try takeover.confirm()
    #expect(await eventually { gone.value == 1 })
    let taken = successor.statistics.accepted
    let accepted = former.statistics.accepted
    #expect(await load.waitForMore())
    #expect(try keptAlive.echo("after") == "after")

    load.isOver.value = 1
    await running.value
    #expect(load.failures.value == [])
    #expect(former.statistics.accepted == accepted)
    #expect(successor.statistics.accepted > taken)
    #expect(
      former.statistics.accepted + successor.statistics.accepted == load.answers.value + 1)
    successor.close()
    #expect(await eventually { open.value == 0 && formerOpen.value <= 1 })
  }
}
