import CShims
import FDOwnership
public import Logging

/// How a poller is made.
public struct PollerConfiguration: Sendable {
  /// How many threads, each with one loop: 1 to 1,008. They are dealt out evenly to the groups.
  public var threads: Int
  /// How many thread groups, 1 to 63, or nil for as few as hold the threads, 16 in each.
  /// Descriptors can be shared within a group, and moved anywhere.
  public var groups: Int?
  /// The processors that the loops are pinned to, in turn, or empty to leave that to the kernel.
  public var processors: [Int] = []
  /// The threads' names are this, a dash and the loop's number; cut to 15 bytes by the kernel.
  public var name = "fd-loop"
  /// What the loops wait with.
  public var io = IOBackend.epoll
  /// A tick that takes longer is reported: something blocks or computes on the loop.
  public var tickLimit: Duration = .milliseconds(100)
  /// Where the poller says what it cannot throw.
  public var logger = Logger(label: "fd-poller")

  var ringSetup = RingSetup()
  /// How many events in a row without progress make a descriptor suspicious.
  var spinLimit: UInt32 = 1_000_000

  /// A configuration that is the default in everything else; see the properties.
  public init(threads: Int = 1, groups: Int? = nil) {
    self.threads = threads
    self.groups = groups
  }

  /// - Returns: the number of groups.
  /// - Throws: `PollerError.invalidConfiguration` with what to change.
  package func validated() throws(PollerError) -> Int {
    let most = ThreadBit.maximumGroups * ThreadBit.threadsPerGroup
    guard 1...most ~= threads else {
      throw .invalidConfiguration("threads is \(threads); it can be 1 to \(most)")
    }
    let perGroup = ThreadBit.threadsPerGroup
    let fewest = (threads + perGroup - 1) / perGroup
    let groups = self.groups ?? fewest
    guard 1...ThreadBit.maximumGroups ~= groups else {
      throw .invalidConfiguration(
        "groups is \(groups); it can be 1 to \(ThreadBit.maximumGroups)")
    }
    guard groups <= threads else {
      throw .invalidConfiguration("\(groups) groups need at least as many threads, not \(threads)")
    }
    guard groups >= fewest else {
      throw .invalidConfiguration(
        "\(threads) threads need at least \(fewest) groups, not \(groups): "
          + "a group holds \(perGroup)")
    }
    return groups
  }

  func processor(ofLoop index: Int) -> Int? {
    processors.isEmpty ? nil : processors[index % processors.count]
  }
}
