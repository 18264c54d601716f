// The idle connections of one loop: what it offers to all loops.
//
// | who                        | does, under the lock                                         |
// |----------------------------|--------------------------------------------------------------|
// | the owner's loop, check-in | link: the last thing that it does with the connection        |
// | any loop, check-out        | try to take over, newest first; unlink only what was taken   |
// | whoever deletes            | unlink; only who has unlinked deletes                        |
//
// Membership in the list, and no flag, says that a connection is idle. A thief that loses leaves
// the connection where it is, so it cannot be stranded outside every list. Since a takeover happens
// under the lock, whoever unlinks a connection otherwise knows that no thief has it.

/// The place of one idle element in a list. It exists before the element is checked in, so that
/// nothing can fail then. Its links are guarded by the lock of the list that it is in, so nothing
/// checks their exclusivity at run time: that would be a sixth of a check-out.
package final class IdleEntry<Key: Hashable, Element: AnyObject>: @unchecked Sendable {
  package let element: Element
  package let key: Key
  /// When it was last checked in, in nanoseconds.
  @exclusivity(unchecked) package fileprivate(set) var idleSince: UInt64 = 0
  @exclusivity(unchecked) fileprivate var older: IdleEntry?
  @exclusivity(unchecked) fileprivate unowned(unsafe) var newer: IdleEntry?
  @exclusivity(unchecked) package fileprivate(set) var isLinked = false

  package init(_ element: Element, for key: Key) {
    self.element = element
    self.key = key
  }
}

/// What `IdleList.take` came to.
package enum IdleTake<Key: Hashable, Element: AnyObject> {
  /// This one is the caller's now, and in no list.
  case taken(IdleEntry<Key, Element>)
  /// There is none, or none that could be taken.
  case none
  /// Somebody holds the lock.
  case locked
}

/// The idle elements of one loop, by key, each kind newest first. Callable from any thread.
package final class IdleList<Lock: ListLock & ~Copyable, Key: Hashable, Element: AnyObject>:
  @unchecked Sendable
{
  package typealias Entry = IdleEntry<Key, Element>

  private let lock = Lock()
  /// One for each key that has had an element since the last purge.
  @exclusivity(unchecked) private var chains: [Chain<Key, Element>] = []
  /// Where in `chains` the one of a key is.
  @exclusivity(unchecked) private var indices: [Key: Int] = [:]
  /// The one that was looked for last, which is the next one, too, most of the time: an element is
  /// found and then removed, its key's are counted before it is linked. A comparison costs much less
  /// than hashing a key.
  @exclusivity(unchecked) private var recent = 0

  package init() {}

  /// Offers an element to all loops. The caller does not touch it afterwards.
  ///
  /// - Parameter now: the time, in nanoseconds.
  package func link(_ entry: Entry, at now: UInt64) {
    lock.withLock {
      precondition(!entry.isLinked, "an element is in one list at a time")
      entry.isLinked = true
      entry.idleSince = now
      chains[indexMakingOne(of: entry.key)].push(entry)
    }
  }

  /// Takes an element out, to delete it.
  ///
  /// - Returns: false if it is in no list: somebody has taken it over or deletes it already.
  package func unlink(_ entry: Entry) -> Bool {
    lock.withLock {
      guard entry.isLinked else { return false }
      remove(entry)
      return true
    }
  }

  /// Tries to take over an element, newest first.
  ///
  /// - Parameters:
  ///   - key: of the elements that will do.
  ///   - trying: does not wait if somebody holds the lock.
  ///   - claim: the attempt; false leaves the element where it is and goes on to the next one. Runs
  ///     under the lock.
  package func take(
    _ key: Key, trying: Bool, _ claim: (Element) -> Bool
  ) -> IdleTake<Key, Element> {
    if !trying { return lock.withLock { walk(key, claim) } }
    return lock.withLockIfAvailable { walk(key, claim) } ?? .locked
  }

  /// The lock is held.
  private func walk(_ key: Key, _ claim: (Element) -> Bool) -> IdleTake<Key, Element> {
    var candidate = index(of: key).flatMap { chains[$0].newest }
    while let entry = candidate {
      if claim(entry.element) {
        remove(entry)
        return .taken(entry)
      }
      candidate = entry.older
    }
    return .none
  }

  /// Takes out, to delete them, the elements that are idle since before the given time, and of each
  /// key half of those that nobody needed since the last purge: the oldest.
  ///
  /// - Parameter time: in nanoseconds.
  package func purge(idleSinceBefore time: UInt64) -> [Entry] {
    lock.withLock {
      var removed: [Entry] = []
      for index in chains.indices {
        let excess = (chains[index].unneeded + 1) / 2
        var count = 0
        while let oldest = chains[index].oldest, count < excess || oldest.idleSince < time {
          removed.append(oldest)
          chains[index].remove(oldest)
          count += 1
        }
        chains[index].beginInterval()
      }
      forgetEmptyChains()
      return removed
    }
  }

  /// Takes any one element out, to delete it: the oldest of some key.
  package func removeOne() -> Entry? {
    lock.withLock {
      for index in chains.indices {
        guard let oldest = chains[index].oldest else { continue }
        chains[index].remove(oldest)
        return oldest
      }
      return nil
    }
  }

  package func count(_ key: Key) -> Int {
    lock.withLock { index(of: key).map { chains[$0].count } ?? 0 }
  }

  /// Shows all elements. The body runs under the lock.
  package func visit(_ body: (Element) -> Void) {
    lock.withLock {
      for chain in chains {
        var next = chain.newest
        while let entry = next {
          body(entry.element)
          next = entry.older
        }
      }
    }
  }

  package var isEmpty: Bool { lock.withLock { chains.allSatisfy { $0.count == 0 } } }

  // MARK: With the lock held

  /// The entry is linked.
  private func remove(_ entry: Entry) {
    guard let index = index(of: entry.key) else {
      preconditionFailure("a linked entry has a chain")
    }
    chains[index].remove(entry)
  }

  private func index(of key: Key) -> Int? {
    if recent < chains.count && chains[recent].key == key { return recent }
    guard let index = indices[key] else { return nil }
    recent = index
    return index
  }

  private func indexMakingOne(of key: Key) -> Int {
    if let index = index(of: key) { return index }
    indices[key] = chains.count
    recent = chains.count
    chains.append(Chain(key: key))
    return recent
  }

  private func forgetEmptyChains() {
    guard chains.contains(where: { $0.count == 0 }) else { return }
    chains.removeAll { $0.count == 0 }
    indices.removeAll(keepingCapacity: true)
    for index in chains.indices { indices[chains[index].key] = index }
  }
}

/// The elements of one key, from the newest to the oldest.
private struct Chain<Key: Hashable, Element: AnyObject> {
  let key: Key
  private(set) var newest: IdleEntry<Key, Element>?
  private(set) unowned(unsafe) var oldest: IdleEntry<Key, Element>?
  private(set) var count = 0
  /// The smallest count since the last purge: so many were not needed in the meantime.
  private(set) var unneeded = 0

  init(key: Key) { self.key = key }

  mutating func push(_ entry: IdleEntry<Key, Element>) {
    entry.older = newest
    newest?.newer = entry
    if oldest == nil { oldest = entry }
    newest = entry
    count += 1
  }

  mutating func remove(_ entry: IdleEntry<Key, Element>) {
    precondition(count > 0, "a linked entry is in its chain")
    let (older, newer) = (entry.older, entry.newer)
    if let newer { newer.older = older } else { newest = older }
    if let older { older.newer = newer } else { oldest = newer }
    entry.older = nil
    entry.newer = nil
    entry.isLinked = false
    count -= 1
    unneeded = min(unneeded, count)
  }

  mutating func beginInterval() { unneeded = count }
}
