import CShims
import FDOwnership
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("Misuse")
  struct MisuseTests {
    @Test("SAME_FD_TWICE: a second insert is an error in words, and the first stays as it is")
    func sameTwice() async throws {
      let pair = SocketPair()
      let (probe, other) = (Probe(), Probe())
      try await withTestedPoller { poller in
        let handle = try poller.insert(pair.near, handler: probe)
        let error = #expect(throws: PollerError.self) {
          try poller.insert(pair.near, handler: other)
        }
        guard case .occupied(handle.fd, let state) = error else {
          Issue.record("\(String(describing: error))")
          return
        }
        #expect(state.contains("live, generation \(handle.generation.rawValue)"))
        #expect(try #require(error).description.contains("insert a descriptor once"))
        #expect(poller.snapshot().liveDescriptors == 1)
        pair.far.put()
        #expect(await eventually { probe.calls == 1 })
      }
      #expect(await probe.isClosedOnce())
      #expect(other.departures.isEmpty)
      pair.far.closeForGood()
    }

    // Fails if a handle is only a number: the second delete would close the successor.
    @Test("DOUBLE_CLOSE: a second delete is harmless, even when the number is another descriptor's")
    func doubleClose() async throws {
      let (pair, other) = (SocketPair(aside: true), SocketPair())
      let (probe, successor) = (Probe(), Probe())
      try await withTestedPoller { poller in
        let handle = try poller.insert(pair.near, handler: probe)
        #expect(poller.delete(handle))
        #expect(!poller.delete(handle))
        #expect(await probe.isClosedOnce())
        let again = try #require(other.near.moved(to: handle.fd))
        #expect(!poller.delete(handle))
        let next = try poller.insert(again, handler: successor)
        #expect(!poller.delete(handle) && !poller.disown(handle))
        other.far.put()
        #expect(await eventually { successor.calls == 1 })
        #expect(poller.snapshot().total[.deletesAlreadyGone] == 4)
        #expect(poller.delete(next))
      }
      #expect(await successor.isClosedOnce())
      for far in [pair.far, other.far] { far.closeForGood() }
    }

    // Fails if the new descriptor is closed (accept would hand the same number out for ever), or if
    // the end of the dead one closes the number.
    @Test(
      "RAW_CLOSE: a number that comes back behind the poller's back is set aside, and said once")
    func rawClose() async throws {
      let log = RecordedLog()
      let old = SocketPair(aside: true)
      let oldProbe = Probe()
      let fresh = (0..<3).map { _ in SocketPair() }
      let probes = fresh.map { _ in Probe() }
      try await withTestedPoller(threads: 2, log: log) { poller in
        let home = poller.loops[0]
        let dead = try poller.insert(old.near, handler: oldProbe, on: .loop(home))
        await home.settle()
        // The home loop stands still, so that the slot stays occupied.
        let gate = await home.hold()
        old.near.closeForGood()
        for (pair, probe) in zip(fresh, probes) {
          let number = try #require(pair.near.moved(to: dead.fd))
          let target = number.target
          let handle = try poller.insert(
            number, handler: probe, on: .loop(poller.loops[1]), options: .fresh)
          #expect(handle.fd != dead.fd)
          #expect(FileDescriptor(rawValue: handle.fd).target == target)
          // The next accept gets the number again.
          #expect(!number.isOpen)
        }
        let bystander = try #require(old.far.copied(to: dead.fd))
        gate.open()
        #expect(await oldProbe.departs(as: .closedElsewhere))
        #expect(bystander.isOpen)
        bystander.closeForGood()
        for (pair, probe) in zip(fresh, probes) {
          pair.far.put()
          #expect(await eventually { probe.calls == 1 })
        }
        #expect(poller.snapshot().total[.rawCloses] == 1)
        #expect(log.count(of: "closed behind the poller's back") == 1)
        // The slot is in use again.
        let last = SocketPair()
        let number = try #require(last.near.moved(to: dead.fd))
        let handle = try poller.insert(number, handler: Probe(), options: .fresh)
        #expect(handle.fd == dead.fd && handle != dead)
        poller.delete(handle)
        last.far.closeForGood()
      }
      for probe in probes { #expect(await probe.isClosedOnce()) }
      for pair in fresh + [old] { pair.far.closeForGood() }
    }

    @Test("RAW_CLOSE: without .fresh the new descriptor is refused, and stays the caller's")
    func rawCloseUnsaid() async throws {
      let (old, new) = (SocketPair(aside: true), SocketPair())
      let probe = Probe()
      try await withTestedPoller { poller in
        let handle = try poller.insert(old.near, handler: probe)
        await poller.loops[0].settle()
        old.near.closeForGood()
        let number = try #require(new.near.moved(to: handle.fd))
        let error = #expect(throws: PollerError.self) {
          try poller.insert(number, handler: Probe())
        }
        guard case .occupied = error else {
          Issue.record("\(String(describing: error))")
          return
        }
        #expect(number.isOpen)
        // The one who knows that it is closed says so.
        poller.disown(handle)
        #expect(await probe.departs(as: .disowned(number)))
        #expect(number.isOpen)
        number.closeForGood()
      }
      for pair in [old, new] { pair.far.closeForGood() }
    }

    // Fails if the last leaver trusts the word alone: it would close the bystander.
    @Test(
      "RAW_CLOSE: what was already condemned when it was found closed does not close the number")
    func rawCloseOfTheCondemned() async throws {
      let (old, new) = (SocketPair(aside: true), SocketPair())
      let gate = Gate()
      let (probe, successor) = (Probe { _, _ in _ = gate.wait() }, Probe())
      try await withTestedPoller(threads: 2) { poller in
        let dead = try poller.insert(old.near, handler: probe, on: .loop(poller.loops[0]))
        old.far.put()
        #expect(await eventually { gate.holdsSomebody })
        poller.delete(dead)
        old.near.closeForGood()
        let number = try #require(new.near.moved(to: dead.fd))
        let handle = try poller.insert(
          number, handler: successor, on: .loop(poller.loops[1]), options: .fresh)
        #expect(handle.fd != dead.fd)
        let bystander = try #require(old.far.copied(to: dead.fd))
        gate.open()
        #expect(await probe.departs(as: .closedElsewhere))
        #expect(bystander.isOpen)
        bystander.closeForGood()
      }
      #expect(await successor.isClosedOnce())
      for pair in [old, new] { pair.far.closeForGood() }
    }

    @Test("RAW_CLOSE: a closed number that the kernel refuses to watch leaves the poller unclosed")
    func rawCloseBeforeRegistration() async throws {
      let log = RecordedLog()
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller(threads: 1, log: log) { poller in
        let gate = await poller.loops[0].hold()
        let handle = try poller.insert(pair.near, handler: probe)
        pair.near.closeForGood()
        gate.open()
        #expect(await probe.departs(as: .closedElsewhere))
        #expect(log.count(of: "closed behind the poller's back") == 1)
        #expect(poller.snapshot().total[.rawCloses] == 1)
        #expect(!poller.delete(handle))
      }
      pair.far.closeForGood()
    }

    // Fails if a record of all zeros passes for that of number 0 in its first incarnation.
    @Test("CLOSE_ZERO: number 0 is a descriptor like any other")
    func closeZero() async {
      await #expect(processExitsWith: .success) { [name = TestedBackend.name as String] in
        var configuration = PollerConfiguration(threads: 2)
        configuration.io = try #require(IOBackend(rawValue: name))
        let poller = try Poller(configuration)
        try poller.start()
        // The runtime's own descriptors come with the first sleep, and shall not be number 0.
        try await Task.sleep(for: .milliseconds(1))
        Glibc.close(0)
        let pair = SocketPair()
        let zero = try #require(pair.near.moved(to: 0))
        let received = Tally()
        let probe = Probe { handle, _ in
          received.add(FileDescriptor(rawValue: handle.fd).drain() ?? 0)
        }
        let handle = try poller.insert(
          zero, handler: probe, on: .loops(poller.loops), options: .exclusive)
        #expect(handle.fd == 0 && handle.generation.rawValue == 0)
        for round in 1...20 {
          pair.far.put()
          try #require(await eventually { received.value == round })
        }
        for loop in poller.loops where name == "epoll" {
          await loop.settle()
          let flags = await loop.call { loop.epollEvents(of: 0) }
          #expect(flags.map { $0 & (1 << 28) } == 1 << 28, "registered as exclusive")
        }
        #expect(poller.describe(zero).hasPrefix("fd 0: live"))
        #expect(poller.delete(handle))
        #expect(await probe.isClosedOnce())
        #expect(!zero.isOpen)

        // And as the only descriptor of a loop that has to make its epoll set anew.
        let other = SocketPair()
        let copy = other.near.copied()
        let zombie = Probe()
        let loop = poller.loops[1]
        let gone = try poller.insert(
          try #require(other.near.moved(to: 0)), handler: zombie, on: .loop(loop))
        await loop.settle()
        poller.delete(gone)
        #expect(await zombie.isClosedOnce())
        let last = SocketPair()
        let lastProbe = Probe()
        try poller.insert(try #require(last.near.moved(to: 0)), handler: lastProbe, on: .loop(loop))
        await loop.settle()
        other.far.put()
        #expect(
          await eventually { loop.counters[.kernelPollerRebuilds] == (name == "epoll" ? 1 : 0) })
        last.far.put()
        #expect(await eventually { lastProbe.calls == 1 })
        copy.closeForGood()
        try poller.stop()
        #expect(lastProbe.departures == [.closed])
      }
    }
  }
}

extension EventLoop {
  /// The events with which a number is registered with the loop's epoll set, as /proc tells; nil if
  /// it is not.
  func epollEvents(of fd: Int32) -> UInt32? {
    guard let epoll = backend.epoll else { return nil }
    let lines = ProcFile("/proc/self/fdinfo/\(epoll.epoll)").lines
    for line in lines {
      let words = line.split(separator: " ", omittingEmptySubsequences: true)
      guard words.count >= 4, words[0] == "tfd:", Int32(words[1]) == fd else { continue }
      return UInt32(words[3], radix: 16)
    }
    return nil
  }
}
