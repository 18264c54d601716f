import CShims
import FDPoller
import Glibc
import Synchronization

/// A thread that is no loop: it plays the peers, deletes, or opens connections, until the field is calm.
final class Foreigner: @unchecked Sendable {
  enum Trade: CaseIterable {
    case peer
    case deleter
    case opener
  }

  let heartbeat: Heartbeat
  private let trade: Trade
  private let field: Field
  private var random: SplitMix
  private let ended = Atomic<Bool>(false)

  init(_ trade: Trade, number: Int, field: Field, seed: UInt64) {
    self.trade = trade
    self.field = field
    heartbeat = Heartbeat("\(trade) \(number)")
    random = SplitMix(seed: seed &* 104_729 &+ UInt64(number))
  }

  /// - Returns: false if there is no thread to be had.
  func start() -> Bool {
    var thread = pthread_t()
    let context = Unmanaged.passRetained(self)
    let result = fdp_thread_start(
      &thread, heartbeat.name,
      { context in
        Unmanaged<Foreigner>.fromOpaque(context.unsafelyUnwrapped).takeRetainedValue().run()
      }, context.toOpaque())
    guard result == 0 else {
      context.release()
      return false
    }
    pthread_detach(thread)
    return true
  }

  var hasEnded: Bool { ended.load(ordering: .acquiring) }

  private func run() {
    while field.isStormy {
      heartbeat.beat()
      if let berth = field.berths.randomElement(using: &random) { act(on: berth) }
      switch random.next() % 16 {
      case 0: usleep(UInt32(random.next() % 200))
      case 1..<4: sched_yield()
      default: break
      }
    }
    ended.store(true, ordering: .releasing)
  }

  private func act(on berth: Berth) {
    switch trade {
    case .peer:
      guard let fd = berth.takeFar() else { return }
      if random.next() % 64 == 0 {
        berth.hangUp(fd)
      } else {
        field.readAsPeer(berth, fd)
        var message = berth.id
        if random.next() % 2 == 0 { _ = fdp_send(fd, &message, 8, 0) }
        berth.putBack(fd)
      }
    case .deleter:
      if random.next() % 8 == 0 { field.end(berth.handle, random.next()) }
    case .opener:
      if berth.isVacant { field.make(in: berth, by: nil, random.next()) }
    }
  }
}

extension Field {
  /// Reads what came for the peer. The caller has taken the far end.
  ///
  /// - Returns: whether an answer was among it.
  @discardableResult
  func readAsPeer(_ berth: Berth, _ fd: Int32) -> Bool {
    var isAnswered = false
    var message: UInt64 = 0
    for _ in 0..<1_000 {
      guard fdp_receive(fd, &message, 8, 0) == 8 else { break }
      if message & ~Line.answer != berth.id {
        violate("bytes stay on their connection", berth.handle, "\(berth.id) has got \(message)")
      }
      if message & Line.answer != 0 { isAnswered = true }
    }
    return isAnswered
  }
}
