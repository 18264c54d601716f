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

/// What an attempt to take an element over came to.
package enum Claim: Sendable {
  case taken
  /// Somebody is inside: leave it there, try the next one.
  case busy
  /// It is closing: whoever closes it unlinks it. Try the next one.
  case gone
}

/// The place of one idle element in a list. It exists before the element is checked in, so that
/// nothing can fail then.
package final class IdleEntry<Key: Hashable, Element: AnyObject> {
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

/// The idle elements of one loop, by key, each kind newest first. Callable from any thread.
package final class IdleList<Lock: ListLock & ~Copyable, Key: Hashable, Element: AnyObject>:
  @unchecked Sendable
{
  package typealias Entry = IdleEntry<Key, Element>

  private let lock = Lock()
  private var chains: [Key: Chain] = [:]

  private struct Chain {
    var newest: Entry?
    unowned(unsafe) var oldest: Entry?
    var count = 0
    /// The smallest count since the last purge: so many were not needed in the meantime.
    var unneeded = 0
  }

  package init() {}

  /// Offers an element to all loops. The caller does not touch it afterwards.
  package func link(_ entry: Entry, at now: UInt64) {
    lock.withLock {
      precondition(!entry.isLinked, "an element is in one list at a time")
      entry.isLinked = true
      entry.idleSince = now
      entry.newer = nil
      entry.older = chains[entry.key]?.newest
      entry.older?.newer = entry
      if entry.older == nil { chains[entry.key, default: Chain()].oldest = entry }
      chains[entry.key, default: Chain()].newest = entry
      chains[entry.key, default: Chain()].count += 1
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
  ///   - trying: gives up, with nil, if somebody holds the lock.
  ///   - claim: the attempt. Runs under the lock.
  /// - Returns: the element that was taken.
  package func take(_ key: Key, trying: Bool, _ claim: (Element) -> Claim) -> Entry? {
    let walk = { () -> Entry? in
      var candidate = self.chains[key]?.newest
      while let entry = candidate {
        candidate = entry.older
        if claim(entry.element) == .taken {
          self.remove(entry)
          return entry
        }
      }
      return nil
    }
    return trying ? lock.withLockIfAvailable(walk) ?? nil : lock.withLock(walk)
  }

  /// Takes out, to delete them, the elements that are idle since before the given time, and of each
  /// key half of those that nobody needed since the last purge: the oldest.
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
        if let count = chains[key]?.count { chains[key]?.unneeded = count }
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
    guard var chain = chains[entry.key] else { preconditionFailure("a linked entry has a chain") }
    let (older, newer) = (entry.older, entry.newer)
    if let newer { newer.older = older } else { chain.newest = older }
    if let older { older.newer = newer } else { chain.oldest = newer }
    chain.count -= 1
    chain.unneeded = min(chain.unneeded, chain.count)
    entry.older = nil
    entry.newer = nil
    entry.isLinked = false
    chains[entry.key] = chain.count == 0 ? nil : chain
  }
}
