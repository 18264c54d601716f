import Testing
import Workloads

@Suite struct CallgrindCountsTests {
  private let text = """
    # callgrind format
    desc: Trigger: --dump-after=workload_echo
    summary: 9999

    fl=???
    fn=main
    0 40
    cfn=workload_echo
    calls=1 0
    0 500

    fn=workload_echo
    0 20
    cfn=tick
    calls=10 0
    0 480

    fn=tick
    0 480
    totals: 9999

    desc: Trigger: --dump-after=workload_echo
    fn=workload_echo
    0 300
    totals: 999

    desc: Trigger: --dump-after=workload_job
    fn=workload_echo
    0 30
    fn=workload_job
    0 70
    totals: 100

    desc: Trigger: --dump-after=workload_job
    fn=workload_job
    0 30
    cfn=tick
    calls=1 0
    0 20
    totals: 50

    desc: Trigger: Program termination
    fn=workload_job
    0 9
    totals: 9
    """

  private func workloads(_ names: String...) -> [Workload] {
    names.compactMap { name in WorkloadCatalogue.workloads.first { $0.name == name } }
  }

  @Test func `a call costs what its function and all that it has called take, and nothing else`() {
    #expect(
      CallgrindCounts(parsing: text).calls == [
        .init("workload_echo", 500), .init("workload_echo", 300), .init("workload_job", 70),
        .init("workload_job", 50),
      ])
  }

  @Test func `the second call of two is what an operation takes, so many times`() {
    let counts = CallgrindCounts(parsing: text).perOperation(of: workloads("echo", "job"), 10)
    #expect(counts?.map(\.workload) == ["echo", "job"])
    #expect(counts?.map(\.count) == [30, 5])
  }

  @Test func `calls of others than the workloads are no counts`() {
    let counts = CallgrindCounts(parsing: text)
    #expect(counts.perOperation(of: workloads("job", "echo"), 10) == nil)
    #expect(counts.perOperation(of: workloads("echo"), 10) == nil)
  }

  @Test func `names of workloads are their own, and symbols too save where they say otherwise`() {
    let workloads = WorkloadCatalogue.workloads
    #expect(Set(workloads.map(\.name)).count == workloads.count)
    #expect(workloads.first?.symbol == "workload_enter_leave")
    let shared = Dictionary(grouping: workloads, by: \.symbol).filter { $0.value.count > 1 }.keys
    #expect(shared.sorted() == ["workload_echo", "workload_head", "workload_timer"])
  }
}
