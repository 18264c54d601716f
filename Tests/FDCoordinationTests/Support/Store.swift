import Glibc
import TestKit

/// A store with a lock for readers and writers, which block threads of their own.
final class Store: @unchecked Sendable {
  private let lock = UnsafeMutablePointer<pthread_rwlock_t>.allocate(capacity: 1)
  private let waiting = Tally()
  private let done = Tally()

  init() {
    lock.initialize(to: pthread_rwlock_t())
    pthread_rwlock_init(lock, nil)
  }

  deinit {
    pthread_rwlock_destroy(lock)
    lock.deallocate()
  }

  /// How many have come to write, and have not done so.
  var writers: Int { waiting.value }
  /// How many have written.
  var writes: Int { done.value }

  /// Takes the write lock and gives it back.
  func write() async {
    await Crew.run(1) { [self] _ in
      waiting.add()
      pthread_rwlock_wrlock(lock)
      pthread_rwlock_unlock(lock)
      waiting.add(-1)
      done.add()
    }
  }

  /// Calls the body while a thread holds the read lock.
  func readLocked<Result: Sendable>(_ body: () async -> Result) async -> Result {
    let (gate, isHeld) = (Gate(), Tally())
    let reader = Task { [self] in
      await Crew.run(1) { [self] _ in
        pthread_rwlock_rdlock(lock)
        isHeld.add()
        gate.wait()
        pthread_rwlock_unlock(lock)
      }
    }
    while isHeld.value == 0 { await Task.yield() }
    let result = await body()
    gate.open()
    await reader.value
    return result
  }
}
