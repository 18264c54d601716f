import TestKit
import Testing

@testable import FDNet

/// A listener whose process has no descriptor left. The process is another one, `fdchild`, since
/// this one needs its descriptors.
@Suite("A listener without descriptors", .serialized, .everyBackend, .ledger)
struct ListenerExhaustionTests {
  /// What `fdchild` has counted.
  struct Counts {
    let accepted: Int
    let turnedAway: Int
    let pauses: Int
    let ticks: Int
    let processorMilliseconds: Int

    init(of child: Child) throws {
      try child.say("")
      let fields = try child.line().split(separator: " ").compactMap { Int($0) }
      try #require(fields.count == 5)
      (accepted, turnedAway, pauses) = (fields[0], fields[1], fields[2])
      (ticks, processorMilliseconds) = (fields[3], fields[4])
    }
  }

  /// A client that has sent a byte and waits for what becomes of it.
  private final class Client {
    enum Answer {
      case served
      case turnedAway
    }

    private let peer: Peer
    private var seen: Answer?

    init(to address: SocketAddress) throws {
      peer = try Peer(to: address)
      // It may have been turned away by now.
      if (try? peer.send("x")) == nil { seen = .turnedAway }
    }

    /// Nil as long as it has heard nothing.
    var answer: Answer? {
      if seen == nil {
        switch peer.outlook {
        case .nothing: break
        case .bytes: seen = .served
        case .end, .reset: seen = .turnedAway
        }
      }
      return seen
    }

    func leave() { peer.close() }
  }

  @Test(
    "it pauses, turns away one client at a time, and goes on by itself; who was accepted is served",
    arguments: [Family.ipv4, .unix], ["loop", "group"])
  func exhaustion(family: Family, sharing: String) async throws {
    let child = try Child(
      "fdchild", ["\(family.address)", sharing, "3", "60", TestedBackend.name])
    let address = try SocketAddress(parsing: child.line())
    var clients = try (0..<120).map { _ in try Client(to: address) }
    func count(_ answer: Client.Answer?) -> Int { clients.count { $0.answer == answer } }
    func queueUp() throws {
      while count(nil) < 60 { clients.append(try Client(to: address)) }
    }

    // Whoever found a descriptor is served, although no other is left.
    #expect(try await eventually { try Counts(of: child).pauses > 0 })
    #expect(try await eventually { try Counts(of: child).accepted == count(.served) })

    // An accept takes a number before it looks for a client, and may keep another loop from the last
    // one in vain: a client gets that after the pause. Then nobody is accepted any more.
    var since = ContinuousClock.now
    var before = try Counts(of: child)
    var after = before
    #expect(
      try await eventually {
        try queueUp()
        let moment = ContinuousClock.now
        after = try Counts(of: child)
        if after.accepted != before.accepted { (since, before) = (moment, after) }
        return after.pauses > before.pauses + 12 && after.turnedAway > before.turnedAway
      })
    #expect(before.accepted > 20 && before.accepted < 60)
    let elapsed = Double(since.duration(to: .now) / .milliseconds(1))
    #expect(after.turnedAway <= after.pauses)
    let (pauses, ticks) = (after.pauses - before.pauses, after.ticks - before.ticks)
    #expect(Double(pauses) < 3 * (elapsed / 100 + 1), "each of three loops pauses for 100 ms")
    #expect(ticks < 20 * pauses, "it spins: \(ticks) ticks")
    #expect(Double(after.processorMilliseconds - before.processorMilliseconds) < elapsed / 2)

    // Descriptors come back as served clients leave, until everybody has had an answer.
    let areAnswered = await eventually {
      for client in clients where client.answer == .served { client.leave() }
      return count(nil) == 0
    }
    #expect(areAnswered)
    // A client may know that it is turned away before that is counted.
    #expect(
      try await eventually {
        let end = try Counts(of: child)
        return end.accepted == count(.served) && end.turnedAway == count(.turnedAway)
      })
    for client in clients { client.leave() }
    #expect(
      try await eventually {
        let late = try Client(to: address)
        defer { late.leave() }
        return await eventually { late.answer != nil } && late.answer == .served
      })
    let (descriptors, status) = try child.end()
    #expect(descriptors == "0" && status == 0)
  }
}
