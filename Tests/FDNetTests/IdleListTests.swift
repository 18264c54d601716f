import FDPoller
import Foundation
import Synchronization
import TestKit
import Testing

@testable import FDNet

/// A lock that counts, and says that it is held when the test wants it to be.
private struct RiggedLock: ~Copyable, ListLock {
  final class Rig: @unchecked Sendable {
    var isHeldByAnother = false
    var isHeld = false
    var locked = 0
    var refused = 0
    var hasWaited = false
  }

  /// Of the lock that was made last: the suite is serialized.
  nonisolated(unsafe) static var rig = Rig()
  let rig = Rig()

  init() { Self.rig = rig }

  borrowing func withLock<Result>(_ body: () -> Result) -> Result {
    if rig.isHeldByAnother { rig.hasWaited = true }
    return hold(body)
  }

  borrowing func withLockIfAvailable<Result>(_ body: () -> Result) -> Result? {
    if rig.isHeldByAnother {
      rig.refused += 1
      return nil
    }
    return hold(body)
  }

  private borrowing func hold<Result>(_ body: () -> Result) -> Result {
    precondition(!rig.isHeld, "the list locks twice")
    rig.isHeld = true
    rig.locked += 1
    defer { rig.isHeld = false }
    return body()
  }
}

@Suite("The list of idle connections", .serialized)
struct IdleListTests {
  private final class Item: Sendable {
    let number: Int
    init(_ number: Int) { self.number = number }
  }

  private typealias List = IdleList<RiggedLock, String, Item>

  private func filled(_ list: List, _ count: Int, _ key: String = "a") -> [List.Entry] {
    (0..<count).map { number in
      let entry = List.Entry(Item(number), for: key)
      list.link(entry, at: UInt64(number))
      return entry
    }
  }

  private func take(
    _ list: List, _ key: String = "a", trying: Bool = false,
    _ claim: (Item) -> Bool = { _ in true }
  ) -> Int? {
    if case .taken(let entry) = list.take(key, trying: trying, claim) {
      entry.element.number
    } else {
      nil
    }
  }

  @Test("the newest of the key is taken first, until none is left")
  func newestFirst() {
    let list = List()
    _ = filled(list, 3)
    _ = filled(list, 1, "b")
    #expect(list.count("a") == 3 && list.count("b") == 1 && list.count("c") == 0)
    #expect((0..<4).map { _ in take(list) } == [2, 1, 0, nil])
    #expect(take(list, "c") == nil)
    #expect(!list.isEmpty)
    #expect(take(list, "b") == 0)
    #expect(list.isEmpty)
  }

  @Test("STRANDED_THIEF: what could not be taken stays where it is, and the next one is tried")
  func losersStayListed() {
    let list = List()
    let entries = filled(list, 4)
    var tried: [Int] = []
    let taken = take(list) { item in
      tried.append(item.number)
      return item.number == 1
    }
    #expect(tried == [3, 2, 1])
    #expect(taken == 1)
    #expect(entries.map(\.isLinked) == [true, false, true, true])
    #expect(take(list) { _ in false } == nil)
    #expect(list.count("a") == 3)
    #expect((0..<3).map { _ in take(list) } == [3, 2, 0])
  }

  @Test("a claim is made with the lock held, and every operation locks once")
  func locking() {
    let list = List()
    let rig = RiggedLock.rig
    var isAlwaysHeld = true
    let entries = filled(list, 3)
    _ = list.take("a", trying: false) { _ in
      isAlwaysHeld = isAlwaysHeld && rig.isHeld
      return false
    }
    _ = list.take("a", trying: true) { _ in
      isAlwaysHeld = isAlwaysHeld && rig.isHeld
      return true
    }
    _ = list.unlink(entries[0])
    _ = list.purge(idleSinceBefore: .max)
    _ = list.removeOne()
    _ = list.count("a")
    _ = list.isEmpty
    #expect(isAlwaysHeld)
    #expect(rig.locked == 10)
  }

  @Test("a thief does not wait for a lock that is held, and tries nothing")
  func tryLock() {
    let list = List()
    let rig = RiggedLock.rig
    _ = filled(list, 1)
    rig.isHeldByAnother = true
    let locked = rig.locked
    var isLocked = false
    if case .locked = list.take("a", trying: true, { _ in true }) { isLocked = true }
    #expect(isLocked && rig.refused == 1 && rig.locked == locked && !rig.hasWaited)
    // Its own list a loop waits for.
    #expect(take(list) == 0)
    #expect(rig.hasWaited)
  }

  @Test("REINSERT_PURGED: whoever unlinks is the only one, and the entry can be linked again")
  func unlinkOnce() {
    let list = List()
    let entries = filled(list, 3)
    #expect(list.unlink(entries[1]))
    #expect(!list.unlink(entries[1]))
    #expect(take(list) == 2)
    #expect(!list.unlink(entries[2]))
    #expect(list.purge(idleSinceBefore: 1).map(\.element.number) == [0])
    #expect(!list.unlink(entries[0]))
    #expect(list.removeOne() == nil && list.isEmpty)
    list.link(entries[1], at: 5)
    #expect(entries[1].idleSince == 5 && entries[1].isLinked)
    #expect(list.removeOne() === entries[1])
    #expect(entries.allSatisfy { !$0.isLinked })
  }

  @Test("linking what is linked is caught")
  func linkTwice() async {
    await #expect(processExitsWith: .failure) {
      let list = IdleList<PlatformLock, String, NSObject>()
      let entry = IdleEntry<String, NSObject>(NSObject(), for: "a")
      list.link(entry, at: 0)
      list.link(entry, at: 0)
    }
  }

  @Test("a purge halves what nobody needed since the last one, the oldest first")
  func purgeHalves() {
    let list = List()
    _ = filled(list, 9)
    func purge() -> [Int] { list.purge(idleSinceBefore: 0).map(\.element.number) }
    #expect(purge() == [], "they have only come since the last purge")
    // Three are needed at once, and given back: six were not needed.
    let used = (0..<3).compactMap { _ -> List.Entry? in
      if case .taken(let entry) = list.take("a", trying: false, { _ in true }) {
        entry
      } else {
        nil
      }
    }
    #expect(used.map(\.element.number) == [8, 7, 6])
    for entry in used { list.link(entry, at: 10) }
    #expect(purge() == [0, 1, 2])
    #expect(purge() == [3, 4, 5])
    #expect(list.count("a") == 3)
    #expect(purge().count == 2)
    #expect(purge().count == 1)
    #expect(list.isEmpty)
  }

  @Test("a purge takes all that are idle since before the time")
  func purgeByAge() {
    let list = List()
    _ = filled(list, 5)
    _ = filled(list, 5, "b")
    #expect(list.purge(idleSinceBefore: 3).count == 6)
    #expect(list.count("a") == 2 && list.count("b") == 2)
    #expect(list.purge(idleSinceBefore: .max).count == 4)
    #expect(list.isEmpty)
  }

  @Test("random calls do what a model of arrays does", arguments: 1...20 as ClosedRange<UInt64>)
  func model(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let list = List()
    var model: [String: [List.Entry]] = [:]
    var unneeded: [String: Int] = [:]
    var loose: [List.Entry] = (0..<30).map {
      List.Entry(Item($0), for: ["a", "b", "c"][$0 % 3])
    }
    func removed(_ entry: List.Entry) {
      let key = entry.key
      model[key]?.removeAll { $0 === entry }
      let count = model[key]?.count ?? 0
      unneeded[key] = count == 0 ? nil : min(unneeded[key] ?? 0, count)
      loose.append(entry)
    }
    for time in 0..<3000 as Range<UInt64> {
      let key = ["a", "b", "c"].randomElement(using: &random) ?? "a"
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<50:
        guard let entry = loose.randomElement(using: &random) else { continue }
        loose.removeAll { $0 === entry }
        list.link(entry, at: time)
        model[entry.key, default: []].append(entry)
      case 50..<80:
        let refused = Int.random(in: 0..<3, using: &random)
        var left = refused
        let expected = model[key, default: []].reversed().dropFirst(refused).first
        let taken = take(list, key, trying: Bool.random(using: &random)) { _ in
          left -= 1
          return left < 0
        }
        #expect(taken == expected?.element.number)
        expected.map(removed)
      case 80..<90:
        guard let entry = model[key]?.randomElement(using: &random) else { continue }
        #expect(list.unlink(entry))
        removed(entry)
      case 90..<94:
        if let entry = list.removeOne() {
          #expect(model[entry.key]?.first === entry)
          removed(entry)
        } else {
          #expect(model.values.allSatisfy { $0.isEmpty })
        }
      default:
        let limit = time > 200 ? time - 200 : 0
        var expected: [Int] = []
        for (key, entries) in model where !entries.isEmpty {
          let excess = ((unneeded[key] ?? 0) + 1) / 2
          let gone = entries.enumerated().prefix {
            $0.offset < excess || $0.element.idleSince < limit
          }
          expected += gone.map(\.element.element.number)
        }
        let purged = list.purge(idleSinceBefore: limit)
        #expect(Set(purged.map(\.element.number)) == Set(expected))
        purged.forEach(removed)
        for (key, entries) in model where !entries.isEmpty { unneeded[key] = entries.count }
      }
      for (key, entries) in model { #expect(list.count(key) == entries.count) }
    }
  }

  @Test("UNLOCKED_DELIST: threads that link, take, unlink and purge never get one element twice")
  func threads() async throws {
    let lists = (0..<4).map { _ in IdleList<PlatformLock, Int, Owned>() }
    let threads = (0..<4).map { thread in
      Background {
        var random = SeededRandom(seed: UInt64(thread))
        var mine = (0..<16).map { IdleEntry<Int, Owned>(Owned(), for: $0 % 3) }
        func own(_ entry: IdleEntry<Int, Owned>) {
          let wasOwned = entry.element.isOwned.exchange(true, ordering: .relaxed)
          #expect(!wasOwned, "owned twice")
          mine.append(entry)
        }
        for entry in mine { entry.element.isOwned.store(true, ordering: .relaxed) }
        for time in 0..<20_000 as Range<UInt64> {
          let other = lists[Int.random(in: 0..<4, using: &random)]
          switch Int.random(in: 0..<10, using: &random) {
          case 0..<5:
            guard let entry = mine.popLast() else { continue }
            entry.element.isOwned.store(false, ordering: .relaxed)
            lists[thread].link(entry, at: time)
          case 5..<8:
            let key = Int.random(in: 0..<3, using: &random)
            if case .taken(let entry) = other.take(
              key, trying: other !== lists[thread],
              { _ in Int.random(in: 0..<4, using: &random) > 0 })
            {
              own(entry)
            }
          case 8:
            // Only while it is in this list: so the pool calls it.
            if let entry = other.removeOne() { own(entry) }
          default:
            if time % 50 == 0 { other.purge(idleSinceBefore: time / 2).forEach(own) }
          }
        }
        return mine
      }
    }
    var all: [IdleEntry<Int, Owned>] = []
    for thread in threads { all += try await thread.value() }
    for list in lists { all += list.purge(idleSinceBefore: .max) }
    #expect(all.count == 64)
    #expect(Set(all.map(ObjectIdentifier.init)).count == 64)
  }

  private final class Owned: Sendable {
    let isOwned = Atomic(false)
  }
}
