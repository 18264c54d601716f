import FDNet
import FDPoller
import Glibc
import Synchronization

/// What a demo leaves behind on paper, to be compared with what it leaves behind.
struct Bill {
  let load: LoadCount
  /// Connections of the load that did not end in time.
  let unfinished: Int
  /// Clients that the proxy has accepted.
  let accepted: Int
  /// The proxy's connections to the origin that were open in advance.
  let spares: PoolStatistics?
  /// The proxy's poller, after its stop.
  let proxy: LoopSnapshot
  let liveDescriptors: Int

  private var closes: UInt64 { proxy[.closesByDeleter] + proxy[.closesByLastLeaver] }
  private var takenOver: Int { spares?.takenOver ?? 0 }
  private var sparesUsed: Int { (spares?.reusedLocally ?? 0) + takenOver }

  var summary: String {
    """
    load         \(grouped(roundTrips)) round trips, each answer as it was sent; connections \
    opened \(grouped(opened)), closed \(grouped(closed)), of these reset \(grouped(resets))
    proxy        clients accepted \(grouped(accepted)); spare connections used \
    \(grouped(sparesUsed)), of these taken over from another loop \(grouped(takenOver))
    descriptors  taken in \(grouped(proxy[.descriptorsInserted])), closed \(grouped(closes)): \
    \(grouped(proxy[.closesByDeleter])) by whoever deleted, \
    \(grouped(proxy[.closesByLastLeaver])) by the last to leave
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
    check(roundTrips > 0, "no round trip was made")
    check(failures == 0, "connections that failed: \(failures)")
    check(unfinished == 0, "connections that did not end: \(unfinished)")
    check(opened == closed, "connections opened: \(opened), but closed: \(closed)")
    check(accepted == opened, "connections opened: \(opened), but accepted: \(accepted)")
    check(
      proxy[.descriptorsInserted] == closes,
      "descriptors taken in: \(proxy[.descriptorsInserted]), but closed: \(closes)")
    check(liveDescriptors == 0, "descriptors left in the poller: \(liveDescriptors)")
    let descriptors = OpenDescriptors.count()
    check(
      descriptors == descriptorsBefore,
      "descriptors of the process: \(descriptors), and before \(descriptorsBefore)")
    check(Connection.liveCount == 0, "Connection objects left: \(Connection.liveCount)")
    check(Session.liveCount == 0, "Session objects left: \(Session.liveCount)")
    return found
  }

  private func isSomethingLeft(_ descriptorsBefore: Int) -> Bool {
    Connection.liveCount != 0 || Session.liveCount != 0
      || OpenDescriptors.count() != descriptorsBefore
  }

  private var roundTrips: Int { load.roundTrips.load(ordering: .relaxed) }
  private var opened: Int { load.opened.load(ordering: .relaxed) }
  private var closed: Int { load.closed.load(ordering: .relaxed) }
  private var resets: Int { load.resets.load(ordering: .relaxed) }
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
