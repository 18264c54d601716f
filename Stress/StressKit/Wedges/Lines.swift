import FDAsync
import FDNet
import FDPoller

/// The lines of a connection, in UTF-8.
struct LineReader {
  /// What has come of the next line.
  private(set) var pending: [UInt8] = []

  /// The next line, without its end; nil if the peer has sent all it will.
  ///
  /// - Parameters:
  ///   - limit: how long it may take; nil is for ever.
  ///   - restLimit: how long the rest may take when something of it has come.
  nonisolated(nonsending) mutating func next(
    _ connection: AsyncConnection, within limit: Duration? = nil,
    restWithin restLimit: Duration? = nil
  ) async throws -> String? {
    while true {
      if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
        defer { pending.removeFirst(end + 1) }
        return String(decoding: pending[..<end], as: UTF8.self)
      }
      let piece: [UInt8]?
      if let limit = pending.isEmpty ? limit : restLimit ?? limit {
        piece = try await withDeadline(limit) { try await Self.piece(of: connection) }
      } else {
        piece = try await Self.piece(of: connection)
      }
      guard let piece else { return nil }
      pending += piece
    }
  }

  nonisolated(nonsending) private static func piece(
    of connection: AsyncConnection
  ) async throws -> [UInt8]? {
    try await connection.read { bytes in bytes.withUnsafeBytes(Array.init) }
  }
}

/// A client that asks by lines, on the loop of its task.
struct LineClient: ~Copyable {
  private let connection: AsyncConnection
  private var lines = LineReader()

  nonisolated(nonsending) init(to address: SocketAddress) async throws {
    connection = try await Connector.connect(to: address, deadline: .seconds(30))
  }

  /// Sends a line and waits for the one that answers it.
  nonisolated(nonsending) mutating func ask(_ line: String) async throws -> String {
    connection.write(line + "\n")
    guard let answer = try await lines.next(connection) else {
      throw WedgeFailure("the server has closed the connection instead of answering \(line)")
    }
    return answer
  }

  /// As `ask`, when only one answer will do.
  nonisolated(nonsending) mutating func ask(_ line: String, expecting wanted: String) async throws {
    let answer = try await ask(line)
    guard answer == wanted else {
      throw WedgeFailure("the server has answered \(line) by \(answer), not by \(wanted)")
    }
  }

  func close() { connection.close() }
}

extension WedgeStage {
  /// One question of somebody whom the wedge concerns, which the server answers by an error. Waits
  /// until somebody asks it.
  ///
  /// - Parameters:
  ///   - name: on the list of those who are wedged.
  ///   - lines: all but the last are asked before.
  /// - Throws: ``WedgeFailure`` when nobody has come to ask.
  func ask(_ address: SocketAddress, as name: String, _ lines: [String]) async throws {
    let question = lines[lines.count - 1]
    Task(executorPreference: clientLoop(0)) { [wedged] in
      do {
        var client = try await LineClient(to: address)
        for line in lines.dropLast() { _ = try await client.ask(line) }
        wedged.open(name)
        wedged.close(name, try await client.ask(question))
        client.close()
      } catch {
        wedged.close(name, "\(error)")
      }
    }
    let patience = Duration.seconds(30)
    guard await waitUntil(within: patience, { wedged.contains(name) }) else {
      throw WedgeFailure("\(name) has not come to ask within \(patience)")
    }
  }
}
