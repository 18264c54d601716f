import FDAtomics
import FDPoller
import Synchronization

/// Ties a connection to its pool: its place in the idle lists, and what happens to it while it is
/// idle.
final class PooledCompanion: ConnectionCompanion {
  let entry: ConnectionPool.List.Entry
  let pool: ConnectionPool
  /// The list that the entry was put into last.
  var list: ConnectionPool.List?

  init(_ connection: Connection, to address: SocketAddress, of pool: ConnectionPool) {
    entry = ConnectionPool.List.Entry(connection, for: address)
    self.pool = pool
  }

  /// An event on an idle connection is a reason to look, no verdict.
  func ready(_ connection: Connection, _ readiness: Readiness) {
    switch connection.loop.peek(connection.handle) {
    case .wouldBlock:
      break
    case .done(let count) where count > 0 && pool.limits.keepsUnsolicitedBytes:
      // They wait in the kernel for the next user, who asks for them anew.
      connection.loop.stop(.read, connection.handle)
    case .done, .failed:
      DelayPoint.unlink.pass(connection.handle)
      if unlink() { connection.end(.finished) }
    }
  }

  func timedOut(_ connection: Connection) {}

  func departed(_ connection: Connection) {
    _ = unlink()
    // The entry refers to the connection, which refers to this.
    connection.companion = nil
  }

  /// Takes the connection out of the idle ones, because it has ended.
  ///
  /// - Returns: false if it is not among them: somebody deletes it already.
  private func unlink() -> Bool {
    guard list?.unlink(entry) == true else { return false }
    pool.counts.idle.subtract(1, ordering: .relaxed)
    pool.counts.stale.add(1, ordering: .relaxed)
    return true
  }
}
