import FDNet
import FDPoller

// What other threads ask of the loop, wherever the connection is by then.

extension MultiplexedCore {
  /// Callable from any thread.
  func post(_ errand: Errand) {
    let loop: EventLoop? = lock.withLock {
      if case .on(let loop) = place { return loop }
      errands.append(errand)
      return nil
    }
    guard let loop else { return }
    if !loop.run({ self.run(errand) }) { perform { $0.end(.pollerStopped) } }
  }

  /// Whether this thread is the one that may use the connection.
  var isHere: Bool {
    lock.withLock {
      if case .on(let loop) = place { loop.isCurrent } else { false }
    }
  }

  private func run(_ errand: Errand) {
    // The connection may have moved on since.
    guard isHere else { return post(errand) }
    guard !isOver else { return }
    switch errand {
    case .flush: flush()
    case .close: sayGoodbye()
    case .move(let loop): move(to: loop)
    }
  }

  private func move(to loop: EventLoop) {
    watch.stop(self)
    lock.withLock { place = .moving }
    connection.move(to: loop) { _ in self.arrive() }
  }

  /// Where the connection was to go, or where it came from.
  private func arrive() {
    let loop = connection.loop
    let errands = lock.withLock {
      place = .on(loop)
      defer { self.errands.removeAll() }
      return self.errands
    }
    guard !isOver else { return }
    watch.start(self)
    for errand in errands { run(errand) }
    // Somebody may have been told that it would be done.
    if isHere { flush() }
  }
}
