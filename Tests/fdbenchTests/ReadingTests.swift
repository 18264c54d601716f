import Testing

@testable import fdbench

struct ReadingTests {
  @Test func `the figures of the load generator are read`() throws {
    let result = try LoadResult(
      #"{"n":100,"secs":0.5,"rps":200,"p50":1.5,"p99":9.0,"p999":10,"err":0,"ccpu":0.1}"#)
    #expect((result.requests, result.perSecond, result.p50, result.p999) == (100, 200, 1.5, 10))
  }

  @Test func `connections that failed are no result`() {
    #expect(throws: Failure.self) {
      try LoadResult(#"{"n":100,"rps":200,"p50":1,"p99":1,"p999":1,"err":3}"#)
    }
    #expect(throws: Failure.self) { try LoadResult("Killed") }
  }

  @Test func `a count of perf is read, and what it did not count is none`() {
    #expect(
      SystemCallCounter.count(in: "# started\n\n41036,,raw_syscalls:sys_enter,1,100.00,,\n")
        == 41036)
    #expect(SystemCallCounter.count(in: "<not counted>,,raw_syscalls:sys_enter,0,100.00,,") == nil)
  }

  @Test func `a package's version is found among others`() {
    let text = """
      "identity" : "swift-log",
      "state" : {
        "version" : "1.16.2"
      "identity" : "swift-nio",
        "version" : "2.101.2"
      """
    #expect(Machine.version(of: "swift-nio", in: text) == "2.101.2")
    #expect(Machine.version(of: "swift", in: text) == nil)
  }
}
