import FDHTTP

/// What the sessions of one loop share. Used on the loop's thread, but for the counts.
final class ProxyLoop: @unchecked Sendable {
  /// Where what goes to backends is put together.
  let output = HTTPOutput(capacity: 16 << 10)
  let counts = ProxyCounts()
  /// What requests are dealt with by, from the next one on.
  @exclusivity(unchecked) var plan: ProxyPlan
  @exclusivity(unchecked) private var spareHeads: [[UInt8]] = []

  private static let mostSpareHeads = 256

  init(_ plan: ProxyPlan) { self.plan = plan }

  // Heads are kept for a second try, until the first byte of an answer: few at a time, so their
  // memory goes round.

  /// An empty array, with the memory of one that was given back.
  func takeHead() -> [UInt8] { spareHeads.popLast() ?? [] }

  func giveBackHead(_ head: consuming [UInt8]) {
    guard head.capacity > 0, spareHeads.count < Self.mostSpareHeads else { return }
    head.removeAll(keepingCapacity: true)
    spareHeads.append(head)
  }
}
