import Logging
import TestKit
import Testing

@testable import FDPoller

@Suite("Warnings")
struct WarningLogTests {
  @Test("of one second are few, and the next one says how many were left out")
  func flood() async {
    let log = RecordedLog()
    let now = Tally(5_000_000_000)
    let warnings = WarningLog(log.logger) { UInt64(now.value) }
    await Crew.run(4) { member in
      for turn in 0..<250 { warnings.warn("a client is late", ["turn": "\(member), \(turn)"]) }
    }
    #expect(log.all.count == 10)
    #expect(log.all.allSatisfy { $0.hasPrefix("warning a client is late [turn: ") })
    now.add(999_999_999)
    warnings.warn("still the same second", [:])
    #expect(log.all.count == 10)
    now.add(1)
    warnings.warn("the next second", [:])
    warnings.warn("and another one", [:])
    #expect(
      log.all.dropFirst(10) == [
        "warning the next second []", "warning earlier warnings were left out [count: 991]",
        "warning and another one []",
      ])
  }
}
