import FDAtomics
import Interleave
import Testing

/// A count of those who still use an object.
struct References<Word: AtomicWord & ~Copyable>: ~Copyable {
  private let count: Word

  init(_ users: UInt64) { count = Word(users) }

  /// Returns whether the caller was the last one, who frees the object.
  borrowing func leave() -> Bool {
    guard count.subtractReleasing(1) == 0 else { return false }
    // All that the others did with the object comes before it is freed.
    _ = count.loadAcquiring()
    return true
  }
}

@Test("the last to leave frees the object, after all use of it", arguments: MemoryModel.allCases)
func references(model: MemoryModel) {
  let report = Explorer.explore(.init(model: model)) { setup in
    let references = References<ModelWord>(3)
    setup.name(0, "users left")
    let heap = Heap()
    let object = heap.allocate()
    for user in 1...3 {
      setup.thread("user \(user)", symmetry: 1) {
        heap.use(object)
        if references.leave() { heap.free(object) }
      }
    }
  }
  #expect(report.isProved, "\(report)")
}
