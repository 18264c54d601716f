import FDOwnership

// What other threads ask of a loop.

/// What one thread asks of a loop.
enum Wish {
  case call(@Sendable () -> Void)
  /// Run a piece of a task.
  case job(LoopJob)
  /// Tell the kernel for the first time.
  case register(FDHandle, Interest)
  case change(FDHandle, adding: Interest, removing: Interest)
  /// It was taken over: forget it unless it has come back.
  case reconcile(FDHandle)
  /// Run the orphan deletion that somebody else has claimed.
  case finish(FDHandle, Duty)
  /// Forget it; the last loop that does starts what is to follow.
  case remove(FDHandle, RemovalRound)
  /// Act as if an event had come, or pass it on, at most so often.
  case poke(FDHandle, hops: Int)
}

extension EventLoop {
  /// Puts a letter into the loop's mailbox. Callable from any thread.
  ///
  /// - Returns: false if the loop has stopped.
  func post(_ letter: Letter<Wish>) -> Bool {
    let sender = EventLoop.current
    switch mailbox.post(letter) {
    case .delivered:
      core.count(.wakeUpsSuppressed, for: sender)
      return true
    case .deliveredWaking:
      core.count(.wakeUpsSent, for: sender)
      return true
    case .refused:
      return false
    }
  }

  func post(_ wish: Wish) -> Bool { post(Letter(wish)) }

  func readMail() {
    var mail = mailbox.take()
    while let wish = mail.popFirst() { fulfil(wish) }
  }

  func fulfil(_ wish: Wish) {
    switch wish {
    case .call(let body):
      body()
    case .job(let job):
      jobs.append(job)
    case .register(let handle, let interest):
      if owns(handle) { backend.setInterest(interest, of: handle, options(of: handle)) }
    case .change(let handle, let adding, let removing):
      change(handle, adding: adding, removing: removing)
    case .reconcile(let handle):
      reconcile(handle)
    case .finish(let handle, let duty):
      core.finish(handle, duty, on: self)
    case .remove(let handle, let round):
      backend.remove(handle)
      round.loopIsDone()
    case .poke(let handle, let hops):
      takePoke(handle, hops: hops)
    }
  }

  func options(of handle: FDHandle) -> InsertOptions { core.table[handle.fd].options }
}
