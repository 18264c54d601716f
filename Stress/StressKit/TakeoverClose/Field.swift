import CShims
import FDOwnership
import FDPoller
import Synchronization
import SystemPackage

/// What all threads of one run share.
final class Field: @unchecked Sendable {
  enum Phase: UInt8 {
    case storm
    /// Nobody steals, deletes, inserts or hangs up any more, and whatever was held is parked.
    case calm
  }

  let poller: Poller
  let berths: [Berth]
  let violations = Violations()
  /// One for each loop. Set before any thread starts.
  private(set) var workers: [LoopWorker] = []
  private let phase = Atomic<UInt8>(Phase.storm.rawValue)

  // Ledgers.

  let liveObjects = Tally()
  let opened = Tally()
  let closed = Tally()
  let disowned = Tally()
  let inserts = Tally()
  let departures = Tally()
  let messages = Tally()
  let hangUps = Tally()
  let moves = Tally()
  private let ids = Tally()

  init(_ parameters: StressParameters) throws {
    var configuration = PollerConfiguration(
      threads: parameters.threads, groups: parameters.groups)
    configuration.io = parameters.io
    configuration.name = "stress"
    // Long ticks are no news with more threads than processors.
    configuration.tickLimit = Watchdog.patience
    poller = try Poller(configuration)
    // Few for each loop, so that they meet.
    berths = (0..<max(12, 3 * parameters.threads)).map { _ in Berth() }
    workers = poller.loops.map { LoopWorker($0, field: self, seed: parameters.seed) }
  }

  /// Breaks the circle of references at the end.
  func dissolve() { workers = [] }

  var isStormy: Bool { phase.load(ordering: .acquiring) == Phase.storm.rawValue }
  func calmDown() { phase.store(Phase.calm.rawValue, ordering: .releasing) }

  /// Connections that have not departed.
  var live: Int {
    let departed = departures.count
    return inserts.count - departed
  }

  func violate(_ ledger: String, _ handle: FDHandle?, _ details: @autoclosure () -> String) {
    violations.add(
      ledger,
      "\(details())"
        + (handle.map { "; \(poller.describe(FileDescriptor(rawValue: $0.fd))), met by \($0)" }
          ?? ""))
  }

  /// Deletes or disowns. Callable from any thread.
  func end(_ handle: FDHandle, _ choice: UInt64) {
    if choice % 16 == 0 {
      poller.disown(handle)
    } else {
      poller.delete(handle)
    }
  }
}

// MARK: - New connections

extension Field {
  /// Opens a connection in a vacant berth.
  ///
  /// - Parameters:
  ///   - worker: of the calling loop, or nil on a foreign thread.
  ///   - choice: a random number, which decides where and how.
  func make(in berth: Berth, by worker: LoopWorker?, _ choice: UInt64) {
    guard isStormy, berth.occupy() else { return }
    var ends: [Int32] = [-1, -1]
    let result = fdp_socketpair(Int32(AF_UNIX), Int32(SOCK_SEQPACKET.rawValue), &ends)
    guard result == 0 else {
      violations.add("descriptors are to be had", "socketpair says \(Errno(rawValue: -result))")
      return berth.giveUp()
    }
    opened.add()
    let home = poller.loops[Int(choice >> 32) % poller.loops.count]
    let mates = poller.loops.filter { $0.bit.group == home.bit.group }
    let isShared = mates.count > 1 && choice % 8 == 0
    let id = UInt64(ids.add()) + 1
    let line = Line(id, isShared: isShared, berth: berth, field: self)
    let options: InsertOptions = choice >> 8 & 15 == 0 ? .sharedWithOthers : []
    let near = FileDescriptor(rawValue: ends[0])
    inserts.add()
    do {
      let handle: FDHandle
      if isShared {
        handle = try poller.insert(near, handler: line, on: .loops(mates), options: options)
      } else if let worker, choice >> 16 & 1 == 0 {
        handle = try worker.loop.insert(near, handler: line, options: options)
        worker.adopt(line, handle)
      } else {
        handle = try poller.insert(near, handler: line, on: .loop(home), options: options)
        let newHome = workers[home.index]
        home.run { newHome.adopt(line, handle) }
      }
      berth.open(line, near: handle, far: ends[1])
    } catch {
      inserts.add(-1)
      violations.add("a number that the kernel hands out is free in the table", "\(error)")
      opened.add(-1)
      for end in ends { _ = fdp_close(end) }
      berth.giveUp()
    }
  }
}
