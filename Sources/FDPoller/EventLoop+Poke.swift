import FDOwnership

// The kernel tells one loop of an exclusive descriptor's event and nobody else. A loop that does
// not act on it passes it on, or a client waits in a queue while loops sleep.

extension EventLoop {
  /// Hands the event of an exclusive descriptor on to another loop that shares it and wants to read
  /// it: a loop that does not act on such an event has to, at once. On the loop, inside the
  /// handler.
  ///
  /// If that loop's handler pokes in its turn the next one is asked, until each has been asked
  /// once: when all decline, the event waits for one that wants to be told of it again. `stop` does
  /// this by itself.
  public func poke(_ handle: FDHandle) {
    if let poke = pokeInHand, poke.handle == handle {
      pass(handle, hops: poke.hops)
    } else {
      pass(handle, hops: ThreadBit.threadsPerGroup)
    }
  }

  /// To the next one after this loop, so that a poke that is declined again goes round.
  private func pass(_ handle: FDHandle, hops: Int) {
    guard owns(handle) else { return }
    let others = core.table[handle.fd].ownership.state.threads.subtracting(bit.mask).indices
    let hopsLeft = min(hops, others.count)
    guard hopsLeft > 0, let next = others.first(where: { $0 > bit.index }) ?? others.first else {
      return
    }
    counters.add(.pokes)
    _ = core.loop(group: bit.group, index: next)?.post(.poke(handle, hops: hopsLeft - 1))
  }

  /// A poke has come.
  func takePoke(_ handle: FDHandle, hops: Int) {
    guard backend.interest(in: handle).contains(.read) else { return pass(handle, hops: hops) }
    pokeInHand = (handle, hops)
    dispatch(.read, to: handle)
    pokeInHand = nil
  }
}
