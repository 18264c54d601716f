import FDOwnership
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("Everything at once")
  struct ChurnTests {
    @Test(
      "closes every descriptor exactly once, whatever the number of threads and groups",
      arguments: [(1, 1), (2, 1), (3, 2), (40, 4)])
    func churn(threads: Int, groups: Int) async throws {
      var finished: Churn?
      try await withTestedPoller(threads: threads, groups: groups) { poller in
        let churn = Churn(poller, inserts: 300)
        churn.begin()
        let target = TestRun.isSanitized ? 2000 : 6000
        // With many loops on few processors the first takeover may come late.
        #expect(
          await eventually(within: .seconds(120)) {
            churn.steps.value > target && churn.deletes.value > 0
              && (threads == 1 || churn.takeovers.value > 0)
          })
        churn.end()
        #expect(churn.refusals.value == 0)
        finished = churn
      }
      #expect(try await #require(finished).findings() == [])
    }

    @Test("survives a stop in the middle: what is not refused is closed", arguments: 1...15)
    func stopInTheMiddle(round: Int) async throws {
      var finished: Churn?
      try await withTestedPoller(threads: 6, groups: 2) { poller in
        let churn = Churn(poller, inserts: 200)
        churn.begin()
        #expect(await eventually { churn.steps.value > round * 40 })
        finished = churn
        try poller.stop()
      }
      finished?.end()
      #expect(try await #require(finished).findings() == [])
    }
  }
}
