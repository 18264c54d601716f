import Interleave
import Testing

/// Treiber's stack of heap blocks, the head with or without a tag that counts the pops.
private final class TreiberStack {
  private let head = Word(0, "head")
  private let next = [Word(0, "next of 0"), Word(0, "next of 1"), Word(0, "next of 2")]
  private let heap: Heap
  private let isTagged: Bool
  private let readsFreely: Bool

  /// - Parameter readsFreely: a node may be read after it was freed, as where nodes are never
  ///   returned to the system.
  init(_ heap: Heap, isTagged: Bool, readsFreely: Bool = true) {
    self.heap = heap
    self.isTagged = isTagged
    self.readsFreely = readsFreely
  }

  private static let nodeMask: UInt64 = 0xFF

  func push() {
    let block = heap.allocate()
    heap.use(block)
    var found = head.word.load(.relaxed)
    while true {
      next[block].word.store(found & Self.nodeMask, .relaxed)
      let new = found & ~Self.nodeMask | UInt64(block + 1)
      let attempt = head.word.compareExchange(expected: found, desired: new, .releasing)
      if attempt.exchanged { return }
      found = attempt.original
    }
  }

  /// - Returns: a block, which is the caller's now, or nil if there was none.
  func pop() -> Int? {
    var found = head.word.load(.acquiring)
    while found & Self.nodeMask != 0 {
      let block = Int(found & Self.nodeMask) - 1
      if !readsFreely { heap.use(block) }
      let tag = found & ~Self.nodeMask + (isTagged ? Self.nodeMask + 1 : 0)
      let attempt = head.word.compareExchange(
        expected: found, desired: tag | next[block].word.load(.relaxed), .acquiring)
      if attempt.exchanged { return block }
      found = head.word.load(.acquiring)
    }
    return nil
  }
}

@Suite("Treiber's stack")
struct StackTests {
  private static func scenario(_ setup: Setup, isTagged: Bool, readsFreely: Bool = true) {
    let heap = Heap()
    let stack = TreiberStack(heap, isTagged: isTagged, readsFreely: readsFreely)
    func discard(_ block: Int) {
      heap.use(block)
      heap.free(block)
    }
    stack.push()
    stack.push()
    setup.thread("popper") { stack.pop().map(discard) }
    setup.thread("other") {
      stack.pop().map(discard)
      // While this one is kept, the stack gets a new node at the place of the one before.
      let kept = stack.pop()
      stack.push()
      kept.map(discard)
    }
    setup.finally { while let rest = stack.pop() { discard(rest) } }
  }

  @Test("a head that comes back with another rest is found (ABA)", arguments: MemoryModel.allCases)
  func aba(_ model: MemoryModel) {
    let violation = expectViolation("after it was freed", model) {
      Self.scenario($0, isTagged: false)
    }
    // In C11 it takes none: the popper may read a link that is no longer there.
    #expect(violation?.preemptions == (model == .c11 ? 0 : 1))
  }

  @Test("a head with a tag does not come back", arguments: MemoryModel.allCases)
  func tags(_ model: MemoryModel) {
    expectProof(model) { Self.scenario($0, isTagged: true) }
  }

  @Test("a tag does not make it safe to return nodes to the system")
  func useAfterFree() {
    expectViolation("frees block 1 while popper may be using it", .sequentiallyConsistent) {
      Self.scenario($0, isTagged: true, readsFreely: false)
    }
  }
}
