import FDHTTP
import FDNet
import FDPoller
import Glibc
import ReverseProxy
import Synchronization

/// What a demo leaves behind on paper, to be compared with what it leaves behind.
struct Bill {
  let load: LoadCount
  /// Connections of the load that did not end in time.
  let unfinished: Int
  /// Clients that the proxy has accepted.
  let accepted: Int
  /// The proxy's connections to the origins.
  let pool: PoolStatistics
  let http: HTTPService.Statistics
  let retries: Int
  /// Requests that the origins have seen.
  let originRequests: Int
  /// The proxy's poller, after its stop.
  let poller: LoopSnapshot
  let liveDescriptors: Int

  private var closes: UInt64 { poller[.closesByDeleter] + poller[.closesByLastLeaver] }
  private var reused: Int { pool.reusedLocally + pool.takenOver }

  var summary: String {
    let share = http.requests == 0 ? 0 : Double(reused) / Double(reused + pool.opened) * 100
    return """
      load         \(grouped(answers)) answers, each as it should be; connections opened \
      \(grouped(opened)), closed \(grouped(closed)), of these reset \(grouped(resets))
      proxy        requests \(grouped(http.requests)), sent once more \(grouped(retries)); posts \
      that met a closing connection \(grouped(unlucky)) (they must not be repeated: 502)
      pool         connections to the origins opened \(grouped(pool.opened)), used again \
      \(grouped(reused)) times (\(Int(share)).\(Int(share * 10) % 10) %), of these taken over from \
      another loop \(grouped(pool.takenOver)); found closed \(grouped(pool.stale)), busy \
      \(grouped(pool.busy))
      descriptors  taken in \(grouped(poller[.descriptorsInserted])), closed \(grouped(closes)): \
      \(grouped(poller[.closesByDeleter])) by whoever deleted, \
      \(grouped(poller[.closesByLastLeaver])) by the last to leave
      """
  }

  /// What does not add up, in words. The demo has let go of everything that it has made.
  func discrepancies(descriptorsBefore: Int) -> [String] {
    // The threads that have just ended may take their last references with them a little later.
    for _ in 0..<2_000 where isSomethingLeft(descriptorsBefore) { usleep(1_000) }
    var found: [String] = []
    func check(_ isRight: Bool, _ text: String) {
      if !isRight { found.append(text) }
    }
    let failures = load.failures.load(ordering: .relaxed)
    check(answers > 0, "no answer came")
    check(failures == 0, "connections that failed: \(failures)")
    check(unfinished == 0, "connections that did not end: \(unfinished)")
    check(opened == closed, "connections opened: \(opened), but closed: \(closed)")
    check(accepted == opened, "connections opened: \(opened), but accepted: \(accepted)")
    check(
      http.requests == answers + unlucky,
      "requests: \(http.requests), but answers: \(answers) and \(unlucky) times 502")
    check(
      originRequests >= answers,
      "answers: \(answers), but requests at the origins: \(originRequests)")
    check(
      pool.kept == pool.idle + reused + pool.purged + pool.stale,
      "connections kept: \(pool.kept), but used again, purged, stale or idle: "
        + "\(pool.idle + reused + pool.purged + pool.stale)")
    check(
      poller[.descriptorsInserted] == closes,
      "descriptors taken in: \(poller[.descriptorsInserted]), but closed: \(closes)")
    check(liveDescriptors == 0, "descriptors left in the poller: \(liveDescriptors)")
    let descriptors = OpenDescriptors.count()
    check(
      descriptors == descriptorsBefore,
      "descriptors of the process: \(descriptors), and before \(descriptorsBefore)")
    check(Connection.liveCount == 0, "Connection objects left: \(Connection.liveCount)")
    check(ProxySession.liveCount == 0, "ProxySession objects left: \(ProxySession.liveCount)")
    return found
  }

  private func isSomethingLeft(_ descriptorsBefore: Int) -> Bool {
    Connection.liveCount != 0 || ProxySession.liveCount != 0
      || OpenDescriptors.count() != descriptorsBefore
  }

  private var answers: Int { load.answers.load(ordering: .relaxed) }
  private var opened: Int { load.opened.load(ordering: .relaxed) }
  private var closed: Int { load.closed.load(ordering: .relaxed) }
  private var resets: Int { load.resets.load(ordering: .relaxed) }
  private var unlucky: Int { load.unlucky.load(ordering: .relaxed) }
}

/// The descriptors that this process has open.
enum OpenDescriptors {
  static func count() -> Int {
    guard let folder = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(folder) }
    var count = 0
    while let entry = readdir(folder) {
      if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
    }
    return count
  }
}

/// With a comma between thousands.
func grouped(_ number: some BinaryInteger) -> String {
  let digits = Array("\(number)")
  return digits.indices.reduce(into: "") { text, index in
    if index > 0 && (digits.count - index) % 3 == 0 { text.append(",") }
    text.append(digits[index])
  }
}
