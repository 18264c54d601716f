import Interleave
import Testing

/// Vyukov's queue of many producers and one consumer. Node 0 is the first dummy.
private final class Queue {
  enum Defect {
    case none
    /// The link to the new node does not release what is in it.
    case relaxedLink
    /// Producers take their place without seeing that the place has been made.
    case relaxedExchange
    /// Producers take their place in two steps.
    case twoSteps
  }

  private let setup: Setup
  private let defect: Defect
  private let head = Word(0, "head")
  private let next: [Word]
  private let contents: [Cell<Int>]
  private var tail = 0

  init(_ setup: Setup, nodes: Int, _ defect: Defect) {
    self.setup = setup
    self.defect = defect
    next = (0..<nodes).map { Word(0, "next of \($0)") }
    contents = (0..<nodes).map { Cell(0, named: "content of \($0)") }
  }

  func push(_ node: Int) {
    contents[node].value = node
    next[node].word.store(0, .relaxed)
    let previous: UInt64
    switch defect {
    case .none, .relaxedLink:
      previous = head.word.exchange(UInt64(node), .acquiringAndReleasing)
    case .relaxedExchange: previous = head.word.exchange(UInt64(node), .relaxed)
    case .twoSteps:
      previous = head.word.load(.acquiring)
      head.word.store(UInt64(node), .releasing)
    }
    next[Int(previous)].word.store(
      UInt64(node), defect == .relaxedLink ? .relaxed : .releasing)
  }

  /// Waits for a node.
  func pop() -> Int {
    var node = next[tail].word.load(.acquiring)
    while node == 0 {
      setup.spin()
      node = next[tail].word.load(.acquiring)
    }
    tail = Int(node)
    return contents[tail].value
  }
}

@Suite("Vyukov's queue")
struct QueueTests {
  private static func scenario(_ setup: Setup, _ defect: Queue.Defect) {
    let queue = Queue(setup, nodes: 3, defect)
    setup.thread("producer 1") { queue.push(1) }
    setup.thread("producer 2") { queue.push(2) }
    setup.thread("consumer") {
      let popped = [queue.pop(), queue.pop()]
      setup.require(popped.sorted() == [1, 2], "popped \(popped)")
    }
  }

  @Test("what two producers push, the consumer pops", arguments: MemoryModel.allCases)
  func correct(_ model: MemoryModel) {
    expectProof(model) { Self.scenario($0, .none) }
  }

  @Test("a link that does not release is a race", arguments: MemoryModel.allCases)
  func relaxedLink(_ model: MemoryModel) {
    expectViolation("data race: nothing orders the read of content", model) {
      Self.scenario($0, .relaxedLink)
    }
  }

  @Test("a place that is taken in two steps loses a node", arguments: MemoryModel.allCases)
  func twoSteps(_ model: MemoryModel) {
    expectViolation("deadlock: consumer waits for a change of next of", model) {
      Self.scenario($0, .twoSteps)
    }
  }

  @Test("a relaxed exchange loses a node, where stores can be reordered at all")
  func relaxedExchange() {
    expectProof(.sequentiallyConsistent) { Self.scenario($0, .relaxedExchange) }
    expectProof(.totalStoreOrder) { Self.scenario($0, .relaxedExchange) }
    expectViolation("deadlock: consumer waits for a change of next of", .c11) {
      Self.scenario($0, .relaxedExchange)
    }
  }
}
