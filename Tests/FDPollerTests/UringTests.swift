import CShims
import FDOwnership
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("io_uring", .ioUringOnly)
  struct UringTests {
    /// A configuration whose rings have room for next to nothing.
    private static func tiny(
      threads: Int = 1, submissions: UInt32 = 2, completions: UInt32 = 2, perWait: Int = 3
    ) -> PollerConfiguration {
      var configuration = PollerConfiguration.tested(threads: threads)
      configuration.ringSetup = RingSetup(
        submissions: submissions, completions: completions, completionsPerWait: perWait)
      configuration.tickLimit = .seconds(60)
      return configuration
    }

    // Fails if a poll that has told is left alone: it would tell only of what comes later.
    @Test("a handler that reads a part is told again, and one that has read all is not")
    func levelTriggered() async throws {
      let pair = SocketPair()
      let probe = Probe { handle, _ in
        var byte: UInt8 = 0
        _ = fdp_read(handle.fd, &byte, 1)
      }
      try await withTestedPoller { poller in
        for _ in 0..<10 { pair.far.put() }
        try poller.insert(pair.near, handler: probe)
        #expect(await eventually { probe.calls >= 10 })
        await poller.loops[0].settle()
        // One more may have been asked for before the last byte was read.
        let ticks = poller.snapshot().total[.ticks]
        #expect(await always { poller.snapshot().total[.ticks] == ticks })
        #expect(10...11 ~= probe.calls)
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }

    // Fails if a stream that tells of the end of a send hides that a poll has told in the same wait:
    // nobody looks a second time then.
    @Test("a poll that tells together with a send is asked again too")
    func pollBesideSend() async throws {
      let pair = SocketPair()
      let probe = Probe { handle, loop in
        loop.stop(.write, handle)
        var byte: UInt8 = 0
        _ = fdp_read(handle.fd, &byte, 1)
      }
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        let handle = try poller.insert(
          pair.near, handler: probe, options: [.fresh, .stream, .readsByPoll])
        await loop.settle()
        await loop.call {
          loop.want(.write, handle)
          #expect([UInt8(1)].withUnsafeBytes { loop.send(handle, $0) } == .done(1))
          for _ in 0..<5 { pair.far.put() }
        }
        #expect(await eventually { pair.near.isDrained })
        #expect(pair.far.drain() == 1)
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }

    // Fails if a poll that the kernel ends, because the ring is full, is not made again.
    @Test("a ring that overflows loses nothing, and polls that end early are made again")
    func overflow() async throws {
      let pairs = (0..<100).map { _ in SocketPair() }
      let probes = pairs.map { _ in Probe() }
      try await withTestedPoller(Self.tiny()) { poller in
        let loop = poller.loops[0]
        for (pair, probe) in zip(pairs, probes) { try poller.insert(pair.near, handler: probe) }
        for round in 1...5 {
          await loop.fetchTogether(pairs.map(\.far))
          for probe in probes { try #require(await eventually { probe.calls == round }) }
        }
        #expect(loop.counters[.ringOverflows] > 0)
        #expect(loop.counters[.ringRearms] > 0)
        #expect(loop.counters[.ringCompletions] >= 500)
      }
      for probe in probes { #expect(await probe.isClosedOnce()) }
      for pair in pairs { pair.far.closeForGood() }
    }

    // Fails if what finds no room among the submissions is dropped.
    @Test("more changes in one tick than there is room for all reach the kernel")
    func fullSubmissionQueue() async throws {
      let pairs = (0..<200).map { _ in SocketPair() }
      let probes = pairs.map { _ in Probe() }
      try await withTestedPoller(Self.tiny(submissions: 1, completions: 64, perWait: 64)) {
        poller in
        let loop = poller.loops[0]
        let handles = Guarded<[FDHandle]>([])
        await loop.call {
          for (pair, probe) in zip(pairs, probes) {
            let handle = try? loop.insert(pair.near, handler: probe)
            handles.withLock { $0 += [handle].compactMap { $0 } }
          }
        }
        try #require(handles.value.count == 200)
        for round in 1...3 {
          for pair in pairs { pair.far.put() }
          for probe in probes { try #require(await eventually { probe.calls == round }) }
          await loop.call { for handle in handles.value { loop.stop(.read, handle) } }
          await loop.call { for handle in handles.value { loop.want(.read, handle) } }
        }
        #expect(loop.counters[.ringSubmissions] > 1000)
        #expect(loop.counters[.ringFullQueues] > 1000)
        await loop.call { for handle in handles.value { loop.delete(handle) } }
        for pair in pairs { #expect(await eventually { pair.far.isAtEnd }) }
      }
      for pair in pairs { pair.far.closeForGood() }
    }

    @Test("every way to set a ring up serves", arguments: RingMode.allCases)
    func modes(mode: RingMode) async throws {
      var configuration = PollerConfiguration.tested(threads: 2)
      configuration.ringSetup.modes = [mode]
      let log = RecordedLog()
      configuration.logger = log.logger
      let pairs = (0..<10).map { _ in SocketPair() }
      let probes = pairs.map { _ in Probe() }
      try await withTestedPoller(configuration) { poller in
        for (pair, probe) in zip(pairs, probes) { try poller.insert(pair.near, handler: probe) }
        for round in 1...20 {
          for pair in pairs { pair.far.put() }
          for probe in probes { try #require(await eventually { probe.calls >= round }) }
        }
      }
      for probe in probes { #expect(await probe.isClosedOnce()) }
      for pair in pairs { pair.far.closeForGood() }
      #expect(
        log.count(of: "without something that makes it faster") == (mode.lacks == nil ? 0 : 1))
    }

    // Fails if a loop goes without something in silence, or says so more than once.
    @Test(
      "what the kernel lacks for bytes and clients is named in one line",
      arguments: [(false, true), (true, false), (false, false)])
    func lacking(receives: Bool, accepts: Bool) throws {
      var configuration = PollerConfiguration.tested(threads: 2)
      configuration.ringSetup.tries = (receives: receives, accepts: accepts)
      let log = RecordedLog()
      configuration.logger = log.logger
      let poller = try Poller(configuration)
      #expect(log.count(of: "without something that makes it faster") == 1 && log.all.count == 1)
      #expect(log.count(of: "repeated receives") == (receives ? 0 : 1))
      #expect(log.count(of: "repeated accepts") == (accepts ? 0 : 1))
      let abilities = poller.loops.compactMap { $0.backend.uring?.abilities }
      #expect(abilities.count == 2)
      #expect(abilities.allSatisfy { $0.receives == receives && $0.accepts == accepts })
    }

    // Fails if a poll that is in flight keeps the file of a closed descriptor open.
    @Test("the peer sees the end of a deleted descriptor while its loop sleeps again")
    func endIsSeen() async throws {
      try await withTestedPoller { poller in
        for _ in 0..<20 {
          let pair = SocketPair()
          let handle = try poller.insert(pair.near, handler: Probe())
          await poller.loops[0].settle()
          poller.delete(handle)
          #expect(await eventually { pair.far.isAtEnd })
          pair.far.closeForGood()
        }
      }
    }

    // Fails if the close waits for the former owner to cancel its poll: that one does not move.
    @Test("the peer sees the end of a taken descriptor although its former loop stands still")
    func endIsSeenWithoutTheFormerOwner() async throws {
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller(threads: 2) { poller in
        let (former, owner) = (poller.loops[0], poller.loops[1])
        let handle = try poller.insert(pair.near, handler: probe, on: .loop(former))
        await former.settle()
        await former.call { former.park(handle) }
        let gate = await former.hold()
        #expect(await owner.take(handle) == .taken)
        poller.delete(handle)
        #expect(await eventually { pair.far.isAtEnd })
        #expect(gate.holdsSomebody)
        gate.open()
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }

    // Fails if a completion is matched by its descriptor's number or handle alone.
    @Test("a number that is closed and used again at once hears nothing of its predecessor's poll")
    func reuse() async throws {
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        for _ in 0..<200 {
          let (old, new) = (SocketPair(aside: true), SocketPair())
          let (oldProbe, newProbe) = (Probe(), Probe())
          let handle = try poller.insert(old.near, handler: oldProbe)
          await loop.settle()
          let next = await loop.call { () -> FDHandle? in
            old.far.put()
            loop.delete(handle)
            guard let again = new.near.moved(to: handle.fd) else { return nil }
            return try? loop.insert(again, handler: newProbe)
          }
          #expect(try #require(next).fd == handle.fd)
          await loop.settle()
          #expect(oldProbe.calls == 0 && newProbe.calls == 0)
          new.far.put()
          #expect(await eventually { newProbe.calls == 1 })
          poller.delete(try #require(next))
          #expect(await newProbe.isClosedOnce())
          for pair in [old, new] { pair.far.closeForGood() }
        }
      }
    }

    // Fails if an exclusive poll that was told between the loop's farewell and its removal is
    // dropped: nobody else was told, and nobody else would be.
    @Test("EXCLUSIVE_LOST: what the kernel told a loop that had just stopped is passed on")
    func unheard() async throws {
      var pokes: UInt64 = 0
      // On a busy machine the order of things is seldom the wanted one.
      for _ in 0..<200 where pokes < 2 {
        let pipe = FileDescriptor.nonBlockingPipe()
        let received = Tally()
        let probe = Probe { handle, _ in
          received.add(FileDescriptor(rawValue: handle.fd).drain() ?? 0)
        }
        try await withTestedPoller(threads: 2) { poller in
          let (stopping, other) = (poller.loops[0], poller.loops[1])
          let handle = try poller.insert(
            pipe.reader, handler: probe, on: .loops(poller.loops), options: .exclusive)
          for loop in poller.loops { await loop.settle() }
          // The one whose turn it is last, so that the other one's poll is in front.
          await other.call { other.letOthersGoFirst(handle) }
          await other.settle()
          let gate = Gate()
          stopping.run {
            stopping.stop(.read, handle)
            gate.wait()
          }
          // The other one has been asked, and there was nothing to read.
          #expect(await eventually { gate.holdsSomebody && probe.calls == 1 })
          await other.settle()
          pipe.writer.put()
          gate.open()
          try #require(await eventually { received.value == 1 })
          pokes = max(pokes, poller.snapshot().total[.pokes])
        }
        #expect(await probe.isClosedOnce())
        pipe.writer.closeForGood()
      }
      #expect(pokes == 2, "the poll in front was told")
    }

    // Fails if the rings are made by the thread that makes the poller.
    @Test("closing its rings does not interrupt who has made a poller")
    func makerIsNotInterrupted() async throws {
      var configuration = PollerConfiguration.tested(threads: 8)
      configuration.ringSetup.submissions = 8
      let made = configuration
      let isMade = Guarded<Poller?>(nil)
      let result = Guarded<Int?>(nil)
      let pair = SocketPair()
      var patience = timeval(tv_sec: 60, tv_usec: 0)
      setsockopt(
        pair.far.rawValue, SOL_SOCKET, SO_RCVTIMEO, &patience,
        socklen_t(MemoryLayout<timeval>.size))
      _ = fcntl(pair.far.rawValue, F_SETFL, 0)
      async let crew: Void = Crew.run(1) { _ in
        isMade.value = try? Poller(made)
        var byte: UInt8 = 0
        let got = recv(pair.far.rawValue, &byte, 1, 0)
        result.value = got < 0 ? -Int(errno) : got
      }
      #expect(await eventually { isMade.value != nil })
      let poller = try #require(isMade.value)
      try poller.start()
      try poller.stop()
      #expect(await always(for: .milliseconds(300)) { result.value == nil })
      pair.near.put()
      await crew
      #expect(result.value == 1)
      isMade.value = nil
      for end in [pair.near, pair.far] { end.closeForGood() }
    }
  }
}

@Suite("The table of requests")
struct RequestTableTests {
  @Test("names each request by its record and that record's generation, and forgets it at its end")
  func names() {
    var table = RequestTable()
    let handle = FDHandle(rawValue: 4711)
    var seen: Set<RequestID> = []
    for _ in 0..<1000 {
      let id = table.begin(.poll, for: handle)
      let (isNew, active) = (seen.insert(id).inserted, table[id])
      #expect(id != .none && isNew)
      #expect(active?.handle == handle && active?.state == .active)
      for part in [RequestID.Part.itself, .cancellation, .secondLook] {
        #expect(RequestID(userData: id.userData(part)) == id)
        #expect(RequestID.part(ofUserData: id.userData(part)) == part)
      }
      let changes = [table.markEnding(id), table.markEnding(id)]
      let ending = table[id]
      #expect(changes == [true, false] && ending?.state == .ending)
      table.end(id)
      let (ended, inFlight) = (table[id], table.inFlight)
      #expect(ended == nil && inFlight == 0)
    }
    // One record served them all.
    #expect(Set(seen.map(\.index)) == [1])
  }

  @Test("has room for as many as there are, and keeps them apart")
  func growth() {
    var table = RequestTable()
    let ids = (0..<5000).map { table.begin(.poll, for: FDHandle(rawValue: UInt64($0))) }
    var inFlight = table.inFlight
    let all = Set(table.all(.active))
    #expect(inFlight == 5000 && all.count == 5000 && all == Set(ids))
    for (number, id) in ids.enumerated() {
      let request = table[id]
      #expect(request?.handle.rawValue == UInt64(number))
      if number % 2 == 0 { table.end(id) }
    }
    inFlight = table.inFlight
    #expect(inFlight == 2500)
    for (number, id) in ids.enumerated() {
      let isGone = table[id] == nil
      #expect(isGone == (number % 2 == 0))
    }
  }
}
