import CShims
import FDDelays
import FDPoller
import Glibc

/// Threads that are no loops: they play the peers, delete, or open connections.
extension Field {
  func startForeigners() {
    for number in 0..<2 { startForeigner("peer-\(number)", playPeer) }
    startForeigner("deleter") { field, berth, random in
      if random.next() % 8 == 0 { field.end(berth.handle, random.next()) }
    }
    startForeigner("opener") { field, berth, random in
      if berth.isVacant { field.make(in: berth, by: nil, random.next()) }
    }
  }

  private func startForeigner(
    _ name: String, _ act: @escaping @Sendable (Field, Berth, inout SplitMix) -> Void
  ) {
    stage.startThread(name) { [unowned self] random in
      if let berth = berths.randomElement(using: &random) { act(self, berth, &random) }
      switch random.next() % 16 {
      case 0: usleep(UInt32(random.next() % 200))
      case 1..<4: sched_yield()
      default: break
      }
    }
  }
}

@Sendable private func playPeer(_ field: Field, at berth: Berth, _ random: inout SplitMix) {
  guard let fd = berth.takeFar() else { return }
  if random.next() % 64 == 0 {
    berth.hangUp(fd)
  } else {
    field.readAsPeer(berth, fd)
    var message = berth.id
    if random.next() % 2 == 0 { _ = fdp_send(fd, &message, 8, 0) }
    berth.putBack(fd)
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
