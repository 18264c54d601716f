import CShims
import FDDelays
import FDNet
import FDPoller
import Glibc
import Synchronization

/// Ten thousand connections are open, and end at once: their peers vanish, other threads delete
/// them, and their own loops close, abort and move them.
public final class MassClose: StressScenario, Sendable {
  /// As on the command line.
  public static let name = "mass-close"
  /// What it does, in one line.
  public static let summary =
    "10,000 connections end at once: by their peers, their loops and other threads"

  /// Descriptors that are left for everything else.
  private static let reserve = 600

  private let stage: Stage
  private let poller: Poller
  private let crowd: Crowd
  private let rounds: Tally
  private let connections: Tally
  private let size: Int

  /// Makes the poller.
  ///
  /// - Throws: `PollerError.invalidConfiguration` or `kernelRefused`; `StressError.unsuitable` if
  ///   the limit of open descriptors allows too few.
  public init(_ stage: Stage) throws {
    self.stage = stage
    let limit = Poller.raiseDescriptorLimit(to: stage.parameters.connections + Self.reserve)
    size = min(stage.parameters.connections, limit - Self.reserve)
    guard size >= 100 else {
      throw StressError.unsuitable(
        "the limit of open descriptors is \(limit), and \(Self.reserve + 100) are needed: raise it")
    }
    poller = try stage.makePoller()
    crowd = Crowd(stage)
    connections = stage.count("operations")
    rounds = stage.count("rounds")
  }

  /// Starts the loops, and the thread that makes and ends the connections.
  public func begin() throws {
    try poller.start()
    stage.startThread("herald") { [unowned self] random, heartbeat in round(&random, heartbeat) }
  }

  private func round(_ random: inout SplitMix, _ heartbeat: Heartbeat) {
    // Each round has addresses of its own, so that no port has to wait (tcp(7), TIME_WAIT).
    let address = SocketAddress(ipv4: (127, 0, 0, UInt8(1 + rounds.count % 250)), port: 0)
    let listener: Listener
    do {
      listener = try Listener(
        address, on: poller,
        settings: ConnectionSettings(drainDeadline: .seconds(1))
      ) { [crowd] in crowd.join($0) }
    } catch {
      return stage.violate("a listener is to be had", "\(error)")
    }
    crowd.assemble(loops: poller.loops.count)
    let before = connections.count
    let peers = connect(to: listener.address, heartbeat)
    let made = connections.count - before
    stage.wait(
      for: "of \(made) peers only \(crowd.heard) are heard",
      until: {
        heartbeat.beat()
        return crowd.heard == made
      })
    endAll(peers, &random)
    stage.wait(
      for: "\(crowd.accepted.live) of \(made) are not gone",
      until: {
        heartbeat.beat()
        return crowd.accepted.live == 0
      })
    listener.close()
    rounds.add()
  }

  /// Makes as many connections as there may be, or as the storm has time for.
  private func connect(to address: SocketAddress, _ heartbeat: Heartbeat) -> [FarAway] {
    let peers = (0..<4).map { _ in FarAway() }
    for number in 0..<size where stage.isStormy {
      guard peers[number % peers.count].connect(to: address, identity: UInt64(number)) else {
        stage.violate("a peer can connect", "\(number) of \(size) have")
        break
      }
      connections.add()
      heartbeat.beat()
    }
    for peer in peers where !peer.send() {
      stage.violate("descriptors can be sent away", "\(size) in all")
    }
    return peers
  }

  /// All at once: half of the peers vanish, the loops end theirs, this thread deletes some of each,
  /// and the other peers vanish.
  private func endAll(_ peers: [FarAway], _ random: inout SplitMix) {
    var handles = crowd.handles
    handles.shuffle(using: &random)
    for loop in poller.loops {
      let generator = SplitMix(seed: random.next())
      loop.run { [crowd, poller] in
        var generator = generator
        crowd.scatter(on: loop, among: poller.loops, &generator)
      }
    }
    for peer in peers.prefix(2) { peer.vanish() }
    for handle in handles.prefix(handles.count / 4) { poller.delete(handle) }
    for peer in peers.suffix(2) { peer.vanish() }
  }

  /// The herald's last round was finished.
  public func calm() { stage.drainMail(of: poller) }

  /// Nobody spins over what is gone.
  public func audit() { stage.auditSilence(of: poller) }

  /// Stops the poller.
  public func end() { stage.stop(poller) }
}
