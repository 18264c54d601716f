import FDDelays
import FDNet
import FDPoller
import SystemPackage

/// One request on one hop: sent on a connection of the pool, and again on another one if that turns
/// out closed before any byte of an answer has come. One loop's.
final class Exchange {
  let chain: Chain
  let loop: EventLoop
  let request: UInt64
  let hops: UInt64
  let content: UInt64
  private var attempts = 0
  private var completion: ((UInt64?) -> Void)?

  /// After so many it is sent on a new connection, which no server closes before its first answer.
  private static let mostReused = 3

  /// - Parameter completion: called on the loop, once, with the answer; nil if it has failed.
  init(
    _ chain: Chain, on loop: EventLoop, request: UInt64, hops: UInt64, content: UInt64,
    _ completion: @escaping (UInt64?) -> Void
  ) {
    self.chain = chain
    self.loop = loop
    self.request = request
    self.hops = hops
    self.content = content
    self.completion = completion
  }

  func start() {
    attempts += 1
    let address = chain.addresses[Int(chain.random(on: loop) % 2)]
    let began = chain.logbook.now
    let isNew = attempts > Self.mostReused
    let proceed = { (result: Result<Connection, ConnectError>) in
      switch result {
      case .success(let connection):
        self.send(on: connection, isLocal: address.family == .unix, since: began)
      case .failure(let error): self.fail(error)
      }
    }
    // Who has to wait for longer than that hangs.
    let deadline = chain.stage.parameters.patience * 3
    if isNew {
      chain.pool.open(address, on: loop, deadline: deadline, proceed)
    } else {
      chain.pool.checkOut(address, on: loop, deadline: deadline, proceed)
    }
  }

  private func send(on connection: Connection, isLocal: Bool, since began: UInt64) {
    let handle = connection.handle
    Chronicle.note("checked out", handle.rawValue)
    if connection.loop !== loop {
      chain.stage.violate("a check-out is for its own loop", "\(connection.loop)", handle)
    }
    let home = chain.logbook.lastStay(handle)
    if let home {
      (home == loop.index ? chain.counts.reused : chain.counts.stolen).add()
      if home != loop.index && isLocal && chain.logbook.wasClosed(handle, before: began) {
        chain.stage.violate(
          "what is stolen was open when the check-out began",
          "request \(request) has got it from \(chain.poller.loops[home].name), and its server "
            + "had closed it before", handle)
      }
    }
    let end = ClientEnd(self, on: connection, attempt: chain.newNumber(), isReused: home != nil)
    connection.setHandler(end)
    end.send(on: connection)
  }

  /// The connection was closed before any byte of an answer: the request was not seen by anybody.
  func tryAgain() {
    chain.counts.retries.add()
    start()
  }

  func finish(_ answer: UInt64?) {
    guard let completion else {
      return chain.stage.violate("a request is answered once", "request \(request)")
    }
    self.completion = nil
    chain.counts.hops.add()
    completion(answer)
  }

  private func fail(_ error: ConnectError) {
    switch error.cause {
    // Descriptors, ports and queues are finite.
    case .refused(.tooManyOpenFiles), .refused(.tooManyOpenFilesInSystem),
      .refused(.addressNotAvailable), .refused(.resourceTemporarilyUnavailable),
      .poller(.numberTooLarge):
      chain.counts.refusals.add()
    case .refused, .poller, .timedOut, .cancelled:
      chain.stage.violate("a connect fails for a reason that is known", "\(error)")
    }
    finish(nil)
  }
}
