import Synchronization

/// The groups that a backend belongs to, because whoever gives a place at it back has to look at
/// the queue of each: a backend may be in several, and in those of a plan that a reload has replaced
/// and whose requests are still under way. Callable from any thread.
package final class BackendQueues: Sendable {
  private struct Member {
    weak var group: BackendGroup?
  }

  private let members = Mutex<[Member]>([])
  /// How many wait in all of them.
  private let waiting = Atomic(0)

  func add(_ group: BackendGroup) {
    members.withLock { members in
      members.removeAll { $0.group == nil }
      members.append(Member(group: group))
    }
  }

  /// - Parameter number: of requests that begin to wait in one of the groups; negative if they end.
  func noteWaiting(_ number: Int) { waiting.add(number, ordering: .sequentiallyConsistent) }

  /// Gives free places to those who wait. Called when there may be one.
  func serve() {
    guard waiting.load(ordering: .sequentiallyConsistent) > 0 else { return }
    for group in members.withLock({ $0.compactMap(\.group) }) { group.serveQueue() }
  }
}
