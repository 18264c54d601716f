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
/// nothing can fail then. Its links are guarded by the lock of the list that it is in.
package final class IdleEntry<Key: Hashable, Element: AnyObject>: @unchecked Sendable {
  package let element: Element
  package let key: Key
  /// When it was last checked in, in nanoseconds.
  package fileprivate(set) var idleSince: UInt64 = 0
  fileprivate var older: IdleEntry?
  fileprivate unowned(unsafe) var newer: IdleEntry?
  package fileprivate(set) var isLinked = false

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
  private var chains: [Key: Chain<Key, Element>] = [:]

  package init() {}

  /// Offers an element to all loops. The caller does not touch it afterwards.
  ///
  /// - Parameter now: the time, in nanoseconds.
  package func link(_ entry: Entry, at now: UInt64) {
    lock.withLock {
      precondition(!entry.isLinked, "an element is in one list at a time")
      entry.isLinked = true
      entry.idleSince = now
      chains[entry.key, default: Chain()].push(entry)
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
    var candidate = chains[key]?.newest
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
      for key in Array(chains.keys) {
        let excess = ((chains[key]?.unneeded ?? 0) + 1) / 2
        var count = 0
        while let oldest = chains[key]?.oldest, count < excess || oldest.idleSince < time {
          removed.append(oldest)
          remove(oldest)
          count += 1
        }
        chains[key]?.beginInterval()
      }
      return removed
    }
  }

  /// Takes any one element out, to delete it: the oldest of some key.
  package func removeOne() -> Entry? {
    lock.withLock {
      guard let oldest = chains.first?.value.oldest else { return nil }
      remove(oldest)
      return oldest
    }
  }

  package func count(_ key: Key) -> Int { lock.withLock { chains[key]?.count ?? 0 } }

  package var isEmpty: Bool { lock.withLock { chains.isEmpty } }

  /// The lock is held and the entry is linked.
  private func remove(_ entry: Entry) {
    guard let index = chains.index(forKey: entry.key) else {
      preconditionFailure("a linked entry has a chain")
    }
    entry.isLinked = false
    chains.values[index].remove(entry)
    if chains.values[index].count == 0 { chains.remove(at: index) }
  }
}

/// The elements of one key, from the newest to the oldest.
private struct Chain<Key: Hashable, Element: AnyObject> {
  private(set) var newest: IdleEntry<Key, Element>?
  private(set) unowned(unsafe) var oldest: IdleEntry<Key, Element>?
  private(set) var count = 0
  /// The smallest count since the last purge: so many were not needed in the meantime.
  private(set) var unneeded = 0

  mutating func push(_ entry: IdleEntry<Key, Element>) {
    entry.older = newest
    newest?.newer = entry
    if oldest == nil { oldest = entry }
    newest = entry
    count += 1
  }

  mutating func remove(_ entry: IdleEntry<Key, Element>) {
    let (older, newer) = (entry.older, entry.newer)
    if let newer { newer.older = older } else { newest = older }
    if let older { older.newer = newer } else { oldest = newer }
    entry.older = nil
    entry.newer = nil
    count -= 1
    unneeded = min(unneeded, count)
  }

  mutating func beginInterval() { unneeded = count }
}
