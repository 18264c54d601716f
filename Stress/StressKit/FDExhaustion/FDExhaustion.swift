import CShims
import FDDelays
import FDNet
import FDPoller
import Glibc
import Synchronization

/// The process has no descriptor left for a second at a time, again and again, while clients come,
/// are served, and go. It needs the whole process: whatever else runs in it goes without, too.
public final class FDExhaustion: StressScenario, Sendable {
  /// As on the command line.
  public static let name = "fd-exhaustion"
  /// What it does, in one line.
  public static let summary =
    "no descriptor is left for a second at a time (EMFILE); who waited is served after it"

  private let stage: Stage
  private let poller: Poller
  private let desk: Desk
  private let hoard: Hoard
  private let lock = PlatformLock()
  /// Under the lock.
  private nonisolated(unsafe) var listener: Listener?

  /// Makes the poller.
  ///
  /// - Throws: `PollerError.invalidConfiguration` or `kernelRefused`.
  public init(_ stage: Stage) throws {
    self.stage = stage
    poller = try stage.makePoller()
    desk = Desk(stage)
    hoard = Hoard(stage.count("times without descriptors"))
  }

  /// Starts the loops, the clients on them, and the thread that takes all descriptors.
  public func begin() throws {
    try poller.start()
    let listener = try Listener(.loopback(port: 0), on: poller) { [desk] _ in desk.server() }
    lock.withLock { self.listener = listener }
    for loop in poller.loops {
      let heartbeat = stage.heartbeat(loop.name)
      for number in 0..<8 {
        loop.run { [desk] in
          let name = "\(loop.name)-\(number)"
          DeskClient(desk, to: listener.address, on: loop, name: name, heartbeat).goOn()
        }
      }
    }
    stage.startThread("hoarder") { [unowned self] random in hoard(&random) }
  }

  /// Takes every descriptor there is, keeps them for a while, gives back a few at a time, and then
  /// all.
  private func hoard(_ random: inout SplitMix) {
    let end = EventLoop.clock() + 300_000_000 + random.next() % 1_200_000_000
    while stage.isStormy && EventLoop.clock() < end {
      hoard.takeAll()
      usleep(UInt32(random.next() % 20_000))
      hoard.giveBack(Int(random.next() % 4))
      usleep(UInt32(random.next() % 2_000))
    }
    hoard.giveBack(.max)
    let pause = EventLoop.clock() + 100_000_000 + random.next() % 300_000_000
    while stage.isStormy && EventLoop.clock() < pause { usleep(1_000) }
  }

  /// Everybody who waits is served, now that there are descriptors again.
  public func calm() {
    stage.wait(
      for: "\(desk.requests.live) clients are neither served nor turned away",
      until: { desk.requests.live == 0 })
    stage.drainMail(of: poller)
    if let statistics = lock.withLock({ listener })?.statistics {
      stage.count("clients accepted").add(statistics.accepted)
      stage.count("clients turned away").add(statistics.turnedAway)
      stage.count("pauses of listeners").add(statistics.pauses)
    }
  }

  /// It did happen, and nothing is worse for it.
  public func audit() {
    if !hoard.hasTakenAll { stage.violate("there is no descriptor left for a while", "never") }
    let served = desk.served.count
    let listener = lock.withLock { self.listener }
    guard let listener else { return }
    let heartbeat = stage.heartbeat("latecomers")
    for loop in poller.loops {
      loop.run { [desk] in
        DeskClient(desk, to: listener.address, on: loop, name: "latecomer", heartbeat)
          .goOn(once: true)
      }
    }
    stage.wait(
      for: "who comes afterwards is not served",
      until: { desk.served.count >= served + poller.loops.count })
    stage.wait(for: "clients are left", until: { desk.requests.live == 0 })
    stage.auditSilence(of: poller)
  }

  /// Stops the poller.
  public func end() {
    hoard.giveBack(.max)
    lock.withLock { listener }?.close()
    stage.stop(poller)
  }
}

/// Takes descriptors that it has no use for.
private final class Hoard: @unchecked Sendable {
  private let takings: Tally
  private let taken = Atomic<Bool>(false)
  // The hoarder's alone; after the storm, the scenario's.
  private var descriptors: [Int32] = []

  init(_ takings: Tally) { self.takings = takings }

  var hasTakenAll: Bool { taken.load(ordering: .relaxed) }

  func takeAll() {
    while true {
      let fd = fdp_open_null()
      guard fd >= 0 else {
        if fd == -EMFILE {
          takings.add()
          taken.store(true, ordering: .relaxed)
        }
        return
      }
      descriptors.append(fd)
    }
  }

  func giveBack(_ count: Int) {
    for fd in descriptors.suffix(count) { _ = fdp_close(fd) }
    descriptors.removeLast(min(count, descriptors.count))
  }
}
