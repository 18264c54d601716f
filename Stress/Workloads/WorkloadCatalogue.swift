import FDPoller

/// All workloads.
public enum WorkloadCatalogue {
  /// In the order of the layers that they are of.
  public static let workloads: [Workload] = [
    Workload("enter-leave", "enter a descriptor and leave it: the ownership word") { EnterLeave() },
    Workload("takeover", "park, take over for another thread, leave: word and ticket") {
      Takeover()
    },
    Workload(
      "takeover-contended", "the same, by two threads for one descriptor",
      inexactness: "how often a thread finds the other one there is chance"
    ) { try ContendedTakeover() },
    Workload("delete-close", "delete a descriptor that nobody is inside of, close, departed") {
      try DeleteClose()
    },
    Workload("post-own", "a loop posts a closure to itself and runs it") { try PostOwn() },
    Workload("post-wake", "post a closure to a loop that sleeps, which wakes and runs it") {
      try PostWake()
    },
    Workload(
      "post-across", "a loop wakes another loop by a closure: half of there and back",
      inexactness: "how far the other thread has come when the closure is posted is chance"
    ) { try PostAcross() },
    timers(0, "set a timer and cancel it, while no other is set"),
    timers(1_000, "the same, while 1,000 others are set"),
    timers(100_000, "the same, while 100,000 others are set"),
    Workload("job", "a task on a loop yields: one job enqueued and run") { try Jobs() },
    Workload("echo", "a message of 64 bytes read and written by a handler, on epoll") {
      try Echo(io: .epoll)
    },
    Workload(
      "echo-ring", "the same, on io_uring", symbol: "workload_echo",
      inexactness: "the kernel and the loop work on the ring at the same time"
    ) { try Echo(io: .uring) },
    Workload("echo-async", "a message of 64 bytes read and written by a task, on epoll") {
      try AsyncEcho()
    },
    Workload("pool-local", "check a connection out of the loop's own idle ones, and in") {
      try LocalCheckOut()
    },
    Workload("pool-stolen", "check out what is idle on another loop, and tell epoll of it") {
      try StolenCheckOut()
    },
    head(.request40, "request-head-40", "read the head of a request: 40 bytes, 1 field"),
    head(.request200, "request-head-200", "the same: 200 bytes, 6 fields"),
    head(.request1K, "request-head-1k", "the same: 1 KiB, 17 fields"),
    head(.request4K, "request-head-4k", "the same: 4 KiB, 41 fields"),
    head(.request16K, "request-head-16k", "the same: 16 KiB, 81 fields"),
    head(.response200, "response-head-200", "read the head of a response: 200 bytes, 5 fields"),
    Workload("http", "a request to HTTPServer and its answer, both ends on one loop") {
      try HTTPExchange()
    },
  ]

  /// Those whose instructions are the same in every run.
  public static var exact: [Workload] { workloads.filter { $0.inexactness == nil } }

  private static func timers(_ others: Int, _ summary: String) -> Workload {
    Workload("timer-\(others)", summary, symbol: "workload_timer") { try Timers(others: others) }
  }

  private static func head(
    _ head: HeadReading.Head, _ name: String, _ summary: String
  ) -> Workload {
    Workload(name, summary, symbol: "workload_head") { HeadReading(head) }
  }
}
