import FDPoller
import Glibc
import TestKit
import Testing

extension ProcessTests {
  @Suite("Load")
  struct LoadTests {
    @Test("256 MiB each way at once arrive unchanged, and the proxy's memory stays flat")
    func bigTransfer() async throws {
      let total = 256 << 20
      let listener = TestSocket.bound(backlog: 8)
      try await withProxy(to: ["127.0.0.1:\(listener.port)"]) { proxy in
        let client = try proxy.client()
        let backend = try listener.accept()
        let digests = (0..<4).map { _ in Digest() }
        let senders = [(client, 1, digests[0]), (backend, 2, digests[1])].map {
          socket, seed, digest in
          Worker {
            var stream = ByteStream(seed: UInt64(seed))
            for _ in 0..<total / ByteStream.chunk {
              let isSent = stream.withNext { bytes in
                digest.add(bytes)
                return socket.send(bytes)
              }
              guard isSent else { break }
            }
            socket.finish()
          }
        }
        // Long enough for senders to fill the proxy, if it lets itself be filled.
        try await Task.sleep(for: .seconds(1))
        let receivers = [(backend, digests[2]), (client, digests[3])].map { socket, digest in
          Worker {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
            defer { buffer.deallocate() }
            while true {
              let count = socket.receive(into: buffer)
              guard count > 0 else { break }
              digest.add(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            }
          }
        }
        for worker in senders + receivers { worker.join() }
        #expect(digests.map(\.count) == [total, total, total, total])
        let sums = digests.map { $0.finish() }
        #expect(sums.allSatisfy { $0.count == 64 })
        #expect(sums[0] == sums[2])
        #expect(sums[1] == sums[3])
        #expect(sums[0] != sums[1])
        let peak = proxy.program.memory("VmHWM")
        print("256 MiB each way: the proxy's resident memory peaked at \(peak >> 10) KiB")
        #expect(peak > 0 && peak < 64 << 20)
      }
    }

    @Test("5,000 idle connections stay open, cost little memory and no processor time")
    func idleConnections() async throws {
      ProcessTests.raiseDescriptorLimit()
      let count = 5_000
      try await withOrigin(.echo) { origin in
        try await withProxy(to: [origin.address]) { proxy in
          for _ in 0..<50 { #expect(try proxy.client().echoes("hello")) }
          try await proxy.waitForReport("no session") { $0.sessions == 0 }
          let before = proxy.program.memory("RssAnon")

          var clients: [TestSocket] = []
          for _ in 0..<count {
            let client = try proxy.client()
            try #require(client.echoes("hello"))
            clients.append(client)
          }
          let each = Double(proxy.program.memory("RssAnon") - before) / Double(count)
          print("\(count) idle sessions: \(Int(each)) bytes of user memory each, both sides")
          #expect(before > 0 && each < 2048)

          let first = try await proxy.waitForReport("all sessions") { $0.sessions == count }
          try await Task.sleep(for: .seconds(2))
          let second = try await proxy.report()
          let wakeUps =
            second.number("sleeps", inLineOf: "fdproxy-0:")
            - first.number("sleeps", inLineOf: "fdproxy-0:")
          // One is that of the second report.
          print("\(count) idle sessions: \(wakeUps) wake-ups in 2 seconds")
          #expect(1...10 ~= wakeUps)

          var echoes = 0
          for client in clients where client.echoes("still here") { echoes += 1 }
          #expect(echoes == count)
          for client in clients { client.close() }
          try await proxy.waitForReport("no session") { $0.sessions == 0 }
        }
      }
    }

    @Test("2,000 connections opened and reset at random for 20 seconds leave nothing behind")
    func storm() async throws {
      ProcessTests.raiseDescriptorLimit()
      try await withOrigin(.echo) { origin in
        let arguments = ["--threads", "3", "--spare", "8"]
        try await withProxy(to: [origin.address], arguments) { proxy in
          func isAtRest(_ report: Report) -> Bool {
            report.sessions == 0 && report.number("idle", inLineOf: "spares") == 8
          }
          #expect(try proxy.client().echoes("hello"))
          let before = try await proxy.waitForReport("rest", isAtRest)
          let descriptorsBefore = proxy.program.descriptorCount

          let opened = Tally()
          let port = proxy.port
          let end = ContinuousClock.now + .seconds(20)
          let workers = (0..<4).map { number in
            Worker {
              var storm = Storm(seed: UInt64(number), slots: 500, port: port)
              storm.rage(until: end, opened)
            }
          }
          for worker in workers { worker.join() }
          print("storm: \(opened.value) connections opened and ended")
          #expect(opened.value > 2_000)

          let after = try await proxy.waitForReport("rest after the storm", isAtRest)
          #expect(after.liveDescriptors == before.liveDescriptors)
          let isBack = await eventually { proxy.program.descriptorCount == descriptorsBefore }
          #expect(
            isBack,
            "\(proxy.program.descriptorCount) descriptors, and there were \(descriptorsBefore)")
          #expect(try proxy.client().echoes("served as ever"))
        }
      }
    }
  }
}

/// Clients that come and go at random.
private struct Storm {
  private var stream: ByteStream
  private var slots: [TestSocket?]
  private let port: UInt16

  init(seed: UInt64, slots: Int, port: UInt16) {
    stream = ByteStream(seed: seed)
    self.slots = Array(repeating: nil, count: slots)
    self.port = port
  }

  mutating func rage(until end: ContinuousClock.Instant, _ opened: Tally) {
    while ContinuousClock.now < end {
      let choice = stream.next()
      let slot = Int(choice % UInt64(slots.count))
      if let client = slots[slot] {
        // Some never said anything, some have an answer on its way, some wait for it.
        switch choice >> 32 % 4 {
        case 0: client.close()
        case 1: if client.send("hello") { client.reset() }
        case 2: _ = client.echoes("hello")
        default: client.reset()
        }
        if choice >> 32 % 4 != 2 { slots[slot] = nil }
      } else if let client = try? TestSocket.connected(to: port) {
        slots[slot] = client
        opened.add()
      }
    }
    for slot in slots { slot?.reset() }
  }
}
