import FDOwnership
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("A configuration")
  struct ConfigurationTests {
    @Test(
      "that cannot work is refused with what to change",
      arguments: [
        (0, nil, "threads is 0; it can be 1 to 1008"),
        (-1, nil, "threads is -1; it can be 1 to 1008"),
        (2000, nil, "threads is 2000; it can be 1 to 1008"),
        (4, 0, "groups is 0; it can be 1 to 63"),
        (100, 64, "groups is 64; it can be 1 to 63"),
        (3, 4, "4 groups need at least as many threads, not 3"),
        (17, 1, "17 threads need at least 2 groups, not 1: a group holds 16"),
        (1008, 62, "1008 threads need at least 63 groups, not 62: a group holds 16"),
      ] as [(Int, Int?, String)])
    func refused(threads: Int, groups: Int?, message: String) {
      let error = #expect(throws: PollerError.self) {
        try Poller(.tested(threads: threads, groups: groups))
      }
      #expect(error == .invalidConfiguration(message))
      #expect(error.map { "\($0)" } == message)
    }

    @Test(
      "gets as few groups as hold its threads, if it does not say",
      arguments: [(1, 1), (16, 1), (17, 2), (40, 3), (1008, 63)])
    func fewestGroups(threads: Int, groups: Int) throws {
      #expect(try PollerConfiguration(threads: threads).validated() == groups)
    }

    @Test("deals its threads out to the groups evenly, and gives each its own bit")
    func bits() throws {
      let poller = try Poller(.tested(threads: 40, groups: 4))
      #expect(Set(poller.loops.map(\.bit)).count == 40)
      #expect(poller.loops.map(\.index) == Array(0..<40))
      for group in 1...4 {
        let indices = poller.loops.filter { $0.bit.group == group }.map(\.bit.index)
        #expect(indices.sorted() == Array(0..<10))
      }
      #expect(
        poller.loops.allSatisfy {
          poller.core.loop(group: $0.bit.group, index: $0.bit.index) === $0
        })
    }
  }
}
