import Interleave
import TestKit
import Testing

/// What an exploration does to the process that it runs in.
@Suite("Process")
struct ProcessTests {
  @Test("two threads explore at the same time, and do not disturb each other")
  func parallel() async {
    let barrier = Barrier(2)
    let proofs = Tally(0)
    await Crew.run(2) { _ in
      var hasMet = false
      let lost = Explorer.explore(.init(model: .c11)) { setup in
        // Both are in the midst of an execution.
        if !hasMet { barrier.wait() }
        hasMet = true
        Counting.inTwoSteps(setup)
      }
      let safe = Explorer.explore(.init(model: .c11)) { Counting.inOneStep($0, threads: 3) }
      if lost.violation?.message == "an update was lost" && safe.isProved { proofs.add(1) }
    }
    #expect(proofs.value == 2)
  }

  @Test("an exploration inside a scenario is refused in plain words")
  func nested() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = Explorer.explore { _ in _ = Explorer.explore { _ in } }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("a scenario cannot explore another scenario"), "\(text)")
  }

  @Test("a model type outside a scenario is refused in plain words")
  func outsideScenario() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = Cell(0)
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("model types exist only inside a scenario"), "\(text)")
  }

  @Test("a monitor that is changed by a model type's operation is refused in plain words")
  func nestedChange() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = Explorer.explore { setup in
        let (outer, inner) = (Monitor(0), Monitor(0))
        setup.thread("one") { outer.update { $0 = inner.current } }
      }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("the change of a monitor uses no model type"), "\(text)")
  }

  @Test("after an exploration, overlapping accesses are found as before")
  func exclusivity() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = Explorer.explore { Counting.inTwoSteps($0) }
      final class Box { var value = 0 }
      func change(_ value: inout Int, _ box: Box) { value = box.value + 1 }
      let box = Box()
      change(&box.value, box)
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("Simultaneous accesses"), "\(text)")
  }
}
