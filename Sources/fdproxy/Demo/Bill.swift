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
    let (opened, closed) = (
      load.opened.load(ordering: .relaxed), load.closed.load(ordering: .relaxed)
    )
    return """
      load         \(grouped(load.roundTrips.load(ordering: .relaxed))) round trips, each answer as sent; \
      connections opened \(grouped(opened)), closed \(grouped(closed)), \
      of these reset \(grouped(load.resets.load(ordering: .relaxed)))
      proxy        clients accepted \(grouped(accepted)); spare connections used \
      \(grouped(sparesUsed)), of these taken over from another loop \(grouped(takenOver))
      descriptors  taken in \(grouped(proxy[.descriptorsInserted])), closed \(grouped(closes)): \
      \(grouped(proxy[.closesByDeleter])) by whoever deleted, \
      \(grouped(proxy[.closesByLastLeaver])) by the last to leave
      """
  }

  /// What does not add up, in words. Everything that the demo has made is gone by now.
  func discrepancies(descriptorsBefore: Int) -> [String] {
    var found: [String] = []
    func check(_ isRight: Bool, _ text: String) {
      if !isRight { found.append(text) }
    }
    let failures = load.failures.load(ordering: .relaxed)
    let left = OpenDescriptors.count() - descriptorsBefore
    let connections = Connection.liveCount
    let sessions = Session.live.load(ordering: .relaxed)
    check(load.roundTrips.load(ordering: .relaxed) > 0, "no round trip was made")
    check(failures == 0, "connections that failed: \(failures)")
    check(unfinished == 0, "connections that did not end: \(unfinished)")
    check(
      proxy[.descriptorsInserted] == closes,
      "descriptors taken in: \(proxy[.descriptorsInserted]), but closed: \(closes)")
    check(liveDescriptors == 0, "descriptors left in the poller: \(liveDescriptors)")
    check(left == 0, "descriptors of the process more than before: \(left)")
    check(connections == 0, "Connection objects left: \(connections)")
    check(sessions == 0, "Session objects left: \(sessions)")
    return found
  }
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
