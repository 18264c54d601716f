import CShims
public import FDDelays
import FDNet
public import FDPoller
import Glibc
import Synchronization
import SystemPackage

/// What a run offers to its scenario. Callable from any thread, except where it says otherwise.
public final class Stage: Sendable {
  /// What can be changed about the run.
  public let parameters: StressParameters
  let violations = Violations()
  private let lock = PlatformLock()
  private let stormy = Atomic<Bool>(true)

  // Under the lock.
  private nonisolated(unsafe) var heartbeats: [Heartbeat] = []
  private nonisolated(unsafe) var counts: [(name: String, tally: Tally)] = []
  private nonisolated(unsafe) var ledgers: [Ledger] = []
  private nonisolated(unsafe) var pollers: [Poller] = []
  private nonisolated(unsafe) var threads: [StressThread] = []
  private nonisolated(unsafe) var hangs: [String] = []

  init(_ parameters: StressParameters) { self.parameters = parameters }

  // MARK: Time

  /// Whether the load goes on.
  public var isStormy: Bool { stormy.load(ordering: .acquiring) }

  func endStorm() { stormy.store(false, ordering: .releasing) }

  /// Waits for something that must come. Not on an event loop.
  ///
  /// - Parameters:
  ///   - what: said if it does not: it is a hang then.
  ///   - progress: as long as this rises, what is waited for is on its way.
  ///   - condition: looked at every millisecond.
  /// - Returns: whether it has come within `StressParameters.patience` of the last progress.
  @discardableResult
  public func wait(
    for what: @autoclosure () -> String, progress: () -> Int = { 0 }, until condition: () -> Bool
  ) -> Bool {
    if comes(condition, progress: progress) { return true }
    let text = what()
    lock.withLock { hangs.append(text) }
    return false
  }

  /// As `wait`, for something that is not a hang if it does not come.
  public func comes(_ condition: () -> Bool, progress: () -> Int = { 0 }) -> Bool {
    var patience = Patience()
    var seen = progress()
    while !condition() {
      patience.look()
      if progress() != seen { (seen, patience) = (progress(), Patience()) }
      guard patience.elapsed < parameters.patience else { return condition() }
      usleep(1_000)
    }
    return true
  }

  /// Who hangs, in words.
  var hanging: [String] { lock.withLock { hangs } }

  func hang(_ texts: [String]) { lock.withLock { hangs += texts } }

  // MARK: Who takes part

  /// A heart that has to beat as long as the storm lasts.
  ///
  /// - Parameter name: whose it is.
  public func heartbeat(_ name: String) -> Heartbeat {
    let heartbeat = Heartbeat(name)
    lock.withLock { heartbeats.append(heartbeat) }
    return heartbeat
  }

  var watched: [Heartbeat] { lock.withLock { heartbeats } }

  /// A generator whose sequence the run's seed and the name decide.
  public func random(for name: String) -> SplitMix {
    SplitMix(seed: parameters.seed, name: name)
  }

  /// Starts a thread that is no loop. It is watched, and has ended when the scenario is asked to
  /// calm down.
  ///
  /// - Parameters:
  ///   - name: at most 15 bytes.
  ///   - step: done over and over until the storm is over, with a generator of the thread's own.
  public func startThread(
    _ name: String, _ step: @escaping @Sendable (inout SplitMix) -> Void
  ) {
    startThread(name) { random, _ in step(&random) }
  }

  /// As `startThread(_:_:)`, with a step that may take long.
  ///
  /// - Parameters:
  ///   - name: at most 15 bytes.
  ///   - step: as there; it beats the heart that it is given while it goes on.
  public func startThread(
    _ name: String, _ step: @escaping @Sendable (inout SplitMix, Heartbeat) -> Void
  ) {
    let thread = StressThread(heartbeat(name), self, random(for: name), step)
    guard thread.start() else { return violate("threads are to be had", name) }
    lock.withLock { threads.append(thread) }
  }

  /// The calling thread, one of the stage's own, will never end by itself: nobody waits for it any
  /// more, and it sleeps from here on.
  ///
  /// - Parameter name: with which it was started.
  public func strandThread(_ name: String) -> Never {
    lock.withLock { threads.removeAll { $0.name == name } }
    while true { sleep(.max) }
  }

  /// - Returns: the names of the threads that have not ended in time.
  func endThreads() -> [String] {
    if comes({ self.living.isEmpty }) {
      // They refer to the stage.
      lock.withLock { self.threads = [] }
      return []
    }
    return living.map { "\($0.name) does not end" }
  }

  private var living: [StressThread] {
    lock.withLock { threads.filter { !$0.hasEnded } }
  }

  /// Makes a poller as the parameters say, and answers for it: its ledgers are checked when the
  /// scenario has ended, and it is stopped if it was not.
  ///
  /// - Parameters:
  ///   - name: of its threads.
  ///   - adjust: changes the configuration.
  /// - Throws: `PollerError` with what to change, or what the kernel refuses.
  public func makePoller(
    _ name: String = "stress", _ adjust: (inout PollerConfiguration) -> Void = { _ in }
  ) throws(PollerError) -> Poller {
    var configuration = PollerConfiguration(
      threads: parameters.threads, groups: parameters.groups)
    configuration.io = parameters.io
    configuration.name = name
    // Long ticks are no news with more threads than processors.
    configuration.tickLimit = parameters.patience
    adjust(&configuration)
    let poller = try Poller(configuration)
    lock.withLock { pollers.append(poller) }
    return poller
  }

  /// Lets go of a poller that the scenario has stopped, after a look at its ledgers.
  public func dismiss(_ poller: Poller) {
    audit(poller)
    lock.withLock { pollers.removeAll { $0 === poller } }
  }

  var present: [Poller] { lock.withLock { pollers } }

  // MARK: Ledgers

  /// A count that the run shows.
  ///
  /// - Parameter name: what is counted; the same name is the same count.
  public func count(_ name: String) -> Tally {
    lock.withLock {
      if let known = counts.first(where: { $0.name == name }) { return known.tally }
      let tally = Tally()
      counts.append((name, tally))
      return tally
    }
  }

  /// A ledger that has to balance at the end.
  ///
  /// - Parameter name: what must hold, as *connections opened = closed*.
  public func ledger(_ name: String) -> Ledger {
    let ledger = Ledger(name)
    lock.withLock { ledgers.append(ledger) }
    return ledger
  }

  /// What was counted so far, pollers included.
  var countsSoFar: [StressReport.Count] {
    let (counts, pollers) = lock.withLock { (self.counts, self.pollers) }
    return counts.map { .init(name: $0.name, value: $0.tally.count) }
      + PollerLedgers.counts(of: pollers, and: dismissed)
  }

  /// What dismissed pollers had counted.
  let dismissed = PollerLedgers.Totals()

  /// Something that must hold does not. It may be said from any thread, at any time, and ends the
  /// storm.
  ///
  /// - Parameters:
  ///   - ledger: what must hold.
  ///   - details: how it does not.
  ///   - handle: of the descriptor concerned, whose slot is described.
  public func violate(
    _ ledger: String, _ details: @autoclosure () -> String, _ handle: FDHandle? = nil
  ) {
    violations.add(ledger, "\(details())\(handle.map(describe) ?? "")")
  }

  private func describe(_ handle: FDHandle) -> String {
    let states = present.map { $0.describe(FileDescriptor(rawValue: handle.fd)) }
    return "; met by \(handle), now " + states.joined(separator: " or ")
  }

  /// Everything has ended: each ledger balances.
  func auditLedgers() {
    for ledger in lock.withLock({ ledgers }) {
      _ = comes { ledger.live == 0 }
      let (incoming, outgoing) = (ledger.incoming.count, ledger.outgoing.count)
      if incoming != outgoing { violate(ledger.name, "\(incoming) and \(outgoing)") }
    }
  }

  /// A poller has stopped: its own ledgers balance.
  func audit(_ poller: Poller) {
    PollerLedgers.audit(poller) { violate($0, $1) }
    dismissed.add(poller.snapshot().total)
  }
}
