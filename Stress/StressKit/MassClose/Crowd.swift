import FDDelays
import FDNet
import FDPoller

/// The accepted ends of many connections, and what their loops do to them in the end.
final class Crowd: @unchecked Sendable {
  let stage: Stage
  /// Opened when a connection is accepted, closed when it is.
  let accepted: Ledger
  let objects: Ledger
  private let lock = PlatformLock()

  // Under the lock.

  private var members: [[Member]] = []
  private var identities: Set<UInt64> = []

  init(_ stage: Stage) {
    self.stage = stage
    accepted = stage.ledger("every connection accepted is closed once")
    objects = stage.ledger("no handler is left")
  }

  /// Before the connections of a round come.
  func assemble(loops: Int) {
    lock.withLock {
      members = Array(repeating: [], count: loops)
      identities = []
    }
  }

  /// A connection has come. On its loop.
  func join(_ connection: Connection) -> any ConnectionHandler {
    let member = Member(connection, self)
    let loop = connection.loop.index
    lock.withLock { members[loop].append(member) }
    return member
  }

  /// A connection has said who it is.
  func hear(_ identity: UInt64) {
    let isNew = lock.withLock { identities.insert(identity).inserted }
    if !isNew { stage.violate("each peer is heard once", "\(identity)") }
  }

  /// How many have said who they are.
  var heard: Int { lock.withLock { identities.count } }

  /// In the order of their loops.
  var handles: [FDHandle] { lock.withLock { members.flatMap { $0.map(\.handle) } } }

  /// Ends those of the calling loop, each in its way, or leaves it to its peer or another thread.
  func scatter(on loop: EventLoop, among loops: [EventLoop], _ random: inout SplitMix) {
    let mine = lock.withLock {
      defer { members[loop.index] = [] }
      return members[loop.index]
    }
    for member in mine where !member.isClosed {
      switch random.next() % 5 {
      case 0: member.connection.close()
      case 1: member.connection.abort()
      case 2: member.connection.move(to: loops[Int(random.next() % UInt64(loops.count))])
      case 3: loop.delete(member.handle)
      default: break
      }
    }
  }
}

/// The handler of one connection of the crowd.
private final class Member: ConnectionHandler, @unchecked Sendable {
  private let crowd: Crowd
  /// There as long as it is not closed. Used by its loop.
  unowned let connection: Connection
  let handle: FDHandle
  private(set) var isClosed = false
  private var identity: [UInt8] = []

  init(_ connection: Connection, _ crowd: Crowd) {
    self.connection = connection
    self.crowd = crowd
    handle = connection.handle
    crowd.accepted.open()
    crowd.objects.open()
  }

  deinit { crowd.objects.close() }

  func received(_ bytes: RawSpan, on connection: Connection) {
    if isClosed { crowd.stage.violate("nothing comes after closed", "bytes", handle) }
    bytes.withUnsafeBytes { identity.append(contentsOf: $0) }
    guard identity.count >= 8 else { return }
    if identity.count > 8 { crowd.stage.violate("bytes stay on their connection", "more", handle) }
    crowd.hear(identity.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
  }

  /// The peer has vanished: every second one goes without ceremony.
  func inputEnded(on connection: Connection) {
    if handle.fd % 2 == 0 { connection.abort() } else { connection.close() }
  }

  func closed(_ connection: Connection, _ reason: CloseReason) {
    if isClosed { crowd.stage.violate("every connection is closed once", "\(reason)", handle) }
    isClosed = true
    crowd.accepted.close()
  }
}
