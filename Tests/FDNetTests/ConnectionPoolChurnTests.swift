import FDPoller
import Glibc
import TestKit
import Testing

@testable import FDNet

/// Many users of one pool on four loops, a server that ends connections at any moment, and a thread
/// that deletes some: TOUCH_AFTER_PUBLISH, OLD_TASK_WRONG_THREAD and WAKE_UNPROTECTED under load.
@Suite("Churn of the connection pool", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ConnectionPoolChurnTests {
  /// Which connections are somebody's at the moment.
  private final class Register: Sendable {
    private let used = Guarded<[ObjectIdentifier: FDHandle]>([:])
    private let wrong = Guarded<[String]>([])
    private let begun = Guarded(0)

    /// How many uses have begun.
    var uses: Int { begun.value }
    var complaints: [String] { wrong.value }
    var isEmpty: Bool { used.withLock { $0.isEmpty } }

    func complain(_ text: String) { wrong.withLock { $0.append(text) } }

    func begin(_ connection: Connection) {
      let before = used.withLock {
        $0.updateValue(connection.handle, forKey: ObjectIdentifier(connection))
      }
      if before != nil { complain("a connection has two users") }
      begun.withLock { $0 += 1 }
    }

    func end(_ connection: Connection) {
      let before = used.withLock { $0.removeValue(forKey: ObjectIdentifier(connection)) }
      if before == nil { complain("a connection that nobody uses is given back") }
    }

    func anyHandle(_ random: inout SeededRandom) -> FDHandle? {
      used.withLock { $0.values.randomElement(using: &random) }
    }
  }

  /// Makes one exchange after the other, each with a connection from the pool.
  private final class User: ConnectionHandler, @unchecked Sendable {
    let pool: ConnectionPool
    let address: SocketAddress
    let loop: EventLoop
    let register: Register
    let isDone = Guarded(false)
    private var random: SeededRandom
    private var left: Int
    private var expected: [UInt8] = []
    private var received: [UInt8] = []
    private var current: Connection?
    private(set) var retries = 0

    init(
      _ number: Int, _ pool: ConnectionPool, _ address: SocketAddress, on loop: EventLoop,
      exchanges: Int, _ register: Register
    ) {
      (self.pool, self.address, self.loop, self.register) = (pool, address, loop, register)
      random = SeededRandom(seed: UInt64(number))
      left = exchanges
    }

    /// On the loop.
    func next() {
      guard left > 0 else {
        isDone.value = true
        return
      }
      left -= 1
      attempt()
    }

    private func attempt() {
      pool.checkOut(address, on: loop, deadline: .seconds(20)) { [self] result in
        switch result {
        case .success(let connection): begin(connection)
        case .failure(let error):
          // Deleted by the vandal in the midst of connecting.
          if error.cause != .cancelled { register.complain("\(error)") }
          attempt()
        }
      }
    }

    private func begin(_ connection: Connection) {
      register.begin(connection)
      current = connection
      connection.setHandler(self)
      let count = random.next() % 8 == 0 ? 100_000 : 32
      expected = pattern(count, seed: random.next())
      received = []
      // What refuses is gone already, and says so.
      if connection.write(expected) != .refused, random.next() % 64 == 0 { connection.abort() }
    }

    func received(_ bytes: RawSpan, on connection: Connection) {
      guard connection === current, connection.loop === loop, loop.isCurrent else {
        return register.complain("bytes for somebody else")
      }
      bytes.withUnsafeBytes { received.append(contentsOf: $0) }
      guard received.count >= expected.count else { return }
      if received != expected { register.complain("somebody else's bytes") }
      // In the midst of the call, or outside it.
      if random.next() % 2 == 0 { giveBack() } else { loop.run { self.giveBack() } }
    }

    private func giveBack() {
      // It may have ended, and been told, since.
      guard let connection = current else { return }
      current = nil
      register.end(connection)
      pool.checkIn(connection)
      next()
    }

    func inputEnded(on connection: Connection) { connection.abort() }

    func closed(_ connection: Connection, _ reason: CloseReason) {
      guard connection === current else {
        return register.complain("closed of somebody else's connection: \(reason)")
      }
      current = nil
      register.end(connection)
      if received.count >= expected.count { return next() }
      retries += 1
      attempt()
    }
  }

  /// Echoes, and ends a connection now and then: after an answer, in its midst, or out of the blue.
  private final class MoodyEcho: ConnectionHandler, @unchecked Sendable {
    private var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    func received(_ bytes: RawSpan, on connection: Connection) {
      let mood = random.next() % 100
      if mood == 0 { return connection.abort() }
      connection.write(bytes)
      switch mood {
      case 1: connection.close()
      case 2: connection.abort()
      case 3...8:
        // While it is idle at the client, probably.
        connection.loop.schedule(after: .milliseconds(Int(random.next() % 4))) {
          self.random.next() % 2 == 0 ? connection.close() : connection.abort()
        }
      default: break
      }
    }
  }

  @Test("every check-out gets a live connection that nobody else has, and the counts add up")
  func churn() async throws {
    let exchanges = TestRun.isSanitized ? 40 : 250
    try await withTestedPoller(threads: 2) { serverPoller in
      let seeds = Guarded<UInt64>(0)
      let settings = ConnectionSettings(drainDeadline: .milliseconds(200))
      let listener = try Listener(.loopback(port: 0), on: serverPoller, settings: settings) { _ in
        MoodyEcho(
          seed: seeds.withLock {
            $0 += 1
            return $0
          })
      }
      try await withTestedPoller(threads: 4, groups: 2) { poller in
        let limits = keepingLimits {
          $0.idlePerDestination = 40
          $0.idleTime = .milliseconds(30)
          $0.purgeInterval = .milliseconds(5)
          $0.reuse = .always
        }
        let pool = ConnectionPool(
          on: poller, limits: limits,
          settings: ConnectionSettings(drainDeadline: .milliseconds(200)))
        let register = Register()
        var users: [User] = []
        for number in 0..<32 {
          users.append(
            User(
              number, pool, listener.address, on: poller.loops[number % 4], exchanges: exchanges,
              register))
        }
        let isOver = Guarded(false)
        let vandal = Background {
          var random = SeededRandom(seed: 99)
          var (deleted, deletedAt) = (0, 0)
          while !isOver.value {
            usleep(1000)
            // By uses and not by time: on a slow machine none would ever come to its end.
            guard register.uses >= deletedAt + 20 else { continue }
            deletedAt = register.uses
            if let handle = register.anyHandle(&random), poller.delete(handle) { deleted += 1 }
          }
          return deleted
        }
        for user in users { user.loop.run { user.next() } }
        let areDone = await eventually(within: .seconds(120)) { users.allSatisfy(\.isDone.value) }
        isOver.value = true
        _ = try await vandal.value()
        #expect(areDone)
        #expect(register.complaints == [])
        #expect(register.isEmpty)
        pool.close()
        #expect(await eventually { poller.snapshot().liveDescriptors == 0 })
        let statistics = pool.statistics
        #expect(statistics.idle == 0 && statistics.isBalanced, "\(statistics)")
        #expect(statistics.takenOver > 0 && statistics.reusedLocally > 0 && statistics.stale > 0)
        #expect(
          statistics.opened + statistics.reusedLocally + statistics.takenOver
            >= users.count * exchanges)
      }
      listener.close()
      #expect(await eventually { serverPoller.snapshot().liveDescriptors == 0 })
    }
  }
}
