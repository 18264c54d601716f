import CShims
import FDDelays
import FDOwnership
import FDPoller
import Synchronization
import SystemPackage

/// What all threads of one run share.
final class Field: @unchecked Sendable {
  let stage: Stage
  let poller: Poller
  let berths: [Berth]
  /// One for each loop. Set before any thread starts.
  private(set) var workers: [LoopWorker] = []

  // Ledgers.

  let liveObjects: Ledger
  let descriptors: Ledger
  let departures: Ledger
  let opened: Tally
  let messages: Tally
  let hangUps: Tally
  let moves: Tally
  let operations: Tally
  private let ids = Tally()

  init(_ stage: Stage) throws {
    self.stage = stage
    poller = try stage.makePoller()
    liveObjects = stage.ledger("no handler is left")
    descriptors = stage.ledger("opened = closed or disowned")
    departures = stage.ledger("one departure for every insert")
    operations = stage.count("operations")
    opened = stage.count("connections")
    messages = stage.count("messages")
    hangUps = stage.count("hang-ups")
    moves = stage.count("moves")
    // Few for each loop, so that they meet.
    berths = (0..<max(12, 3 * poller.loops.count)).map { _ in Berth() }
    workers = poller.loops.map { LoopWorker($0, field: self) }
  }

  /// Breaks the circle of references at the end.
  func dissolve() { workers = [] }

  var isStormy: Bool { stage.isStormy }

  func violate(_ ledger: String, _ handle: FDHandle?, _ details: @autoclosure () -> String) {
    stage.violate(ledger, details(), handle)
  }

  /// Deletes or disowns. Callable from any thread.
  func end(_ handle: FDHandle, _ choice: UInt64) {
    if choice % 16 == 0 {
      Chronicle.note("disowns", handle.rawValue)
      poller.disown(handle)
    } else {
      Chronicle.note("deletes", handle.rawValue)
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
      stage.violate("descriptors are to be had", "socketpair says \(Errno(rawValue: -result))")
      return berth.giveUp()
    }
    descriptors.open()
    opened.add()
    let home = poller.loops[Int(choice >> 32) % poller.loops.count]
    let mates = poller.loops.filter { $0.bit.group == home.bit.group }
    let isShared = mates.count > 1 && choice % 8 == 0
    let id = UInt64(ids.add()) + 1
    let line = Line(id, isShared: isShared, berth: berth, field: self)
    let options: InsertOptions = choice >> 8 & 15 == 0 ? .sharedWithOthers : []
    let near = FileDescriptor(rawValue: ends[0])
    departures.open()
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
      stage.violate("a number that the kernel hands out is free in the table", "\(error)")
      for end in ends { _ = fdp_close(end) }
      berth.giveUp()
    }
  }
}
