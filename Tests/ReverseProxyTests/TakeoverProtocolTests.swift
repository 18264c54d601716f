import CShims
import FDNet
import Glibc
import Synchronization
import SystemPackage
import TestKit
import Testing

@testable import ReverseProxy

@Suite("The takeover protocol", .serialized, .ledger)
struct TakeoverProtocolTests {
  private static let address = SocketAddress.loopback(port: 4711)

  /// So many descriptors, of one file.
  private static func descriptors(_ count: Int) -> [FileDescriptor] {
    (0..<count).map { _ in FileDescriptor(rawValue: fdp_open_null()) }
  }

  private func withServer(
    _ folder: String, _ book: LogBook = LogBook(), offering count: Int = 3,
    mayTake: @escaping @Sendable (UInt32) -> Bool = { _ in true },
    handOver: @escaping @Sendable () -> Void = {}, _ body: (String) async throws -> Void
  ) async throws {
    let server = try TakeoverServer(path: folder + "/path", book.logger, mayTake: mayTake) {
      [
        (Self.address, Self.descriptors(count)),
        (try SocketAddress(parsing: "unix:@x"), Self.descriptors(1)),
      ]
    } handOver: {
      handOver()
    }
    defer { server.close() }
    try await body(server.path)
  }

  private func error(_ path: String, within deadline: Duration = .seconds(30)) -> TakeoverError? {
    do {
      _ = try TakeoverClient.take(path: path, within: deadline)
      return nil
    } catch {
      return error
    }
  }

  @Test("any number of descriptors arrives, by their addresses", arguments: [1, 64, 65, 200])
  func manyDescriptors(count: Int) async throws {
    try await withFolder { folder in
      let calls = Tally()
      try await withServer(folder, offering: count, handOver: { calls.add() }) { path in
        let takeover = try TakeoverClient.take(path: path)
        #expect(takeover.addresses.map(\.description) == ["127.0.0.1:4711", "unix:@x"])
        let received = takeover.descriptors(for: Self.address)
        #expect(received.count == count)
        for descriptor in received {
          #expect(fcntl(descriptor.rawValue, F_GETFD) == FD_CLOEXEC)
          descriptor.closeForGood()
        }
        #expect(takeover.descriptors(for: Self.address).isEmpty)
        #expect(calls.value == 0)
        try takeover.confirm()
        #expect(calls.value == 1)
        // The path is free.
        #expect(access(path, F_OK) == -1)
        try await withServer(folder) { _ in }
      }
    }
  }

  @Test("the socket has mode 0600 from the start, and goes with the server")
  func mode() async throws {
    try await withFolder { folder in
      try await withServer(folder) { path in
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode == S_IFSOCK | 0o600)
      }
      #expect(access(folder + "/path", F_OK) == -1)
    }
  }

  @Test("a successor that goes before it is ready changes nothing, and another one may come")
  func successorGoes() async throws {
    try await withFolder { folder in
      let calls = Tally()
      try await withServer(folder, handOver: { calls.add() }) { path in
        for _ in 0..<3 { _ = try TakeoverClient.take(path: path) }
        #expect(calls.value == 0)
        try TakeoverClient.take(path: path).confirm()
        #expect(calls.value == 1)
      }
    }
  }

  @Test("a server closes while a successor makes up its mind")
  func closes() async throws {
    try await withFolder { folder in
      let server = try TakeoverServer(path: folder + "/path", LogBook().logger) {
        [(Self.address, Self.descriptors(1))]
      } handOver: {
      }
      let takeover = try TakeoverClient.take(path: server.path)
      server.close()
      server.close()
      let error = #expect(throws: TakeoverError.self) { try takeover.confirm() }
      #expect(error?.cause == .ended)
    }
  }

  @Test("a process of another user is turned away, and the log says who")
  func foreignUser() async throws {
    try await withFolder { folder in
      let book = LogBook()
      try await withServer(folder, book, mayTake: { $0 != geteuid() }) { path in
        #expect(error(path)?.cause == .ended)
        #expect(
          await eventually {
            book.lines.contains {
              $0.contains("turned away") && $0.contains("user=\(geteuid())")
                && $0.contains("process=\(getpid())")
            }
          })
      }
    }
  }

  @Test("a server that cannot offer anything says why")
  func refusal() async throws {
    try await withFolder { folder in
      let server = try TakeoverServer(path: folder + "/path", LogBook().logger) {
        throw Errno.tooManyOpenFiles
      } handOver: {
      }
      #expect(error(server.path)?.cause == .refused("Too many open files"))
      server.close()
    }
  }

  @Test("paths at which nobody waits, or at which nothing can wait, are told apart")
  func paths() async throws {
    try await withFolder { folder in
      #expect(error(folder + "/none")?.cause == .nobodyThere)
      #expect(error("@abstract")?.description.contains("write a file's path") == true)
      let long = folder + "/" + String(repeating: "x", count: 108)
      #expect(error(long)?.description.contains("write a shorter one") == true)
      // A server that has died leaves its file, and another one replaces it.
      try RawTakeover(folder + "/path").close()
      #expect(access(folder + "/path", F_OK) == 0)
      #expect(error(folder + "/path")?.cause == .nobodyThere)
      try await withServer(folder) { path in
        // That one waits, and stays.
        let error = #expect(throws: TakeoverError.self) {
          try TakeoverServer(path: path, LogBook().logger) {
            []
          } handOver: {
          }
        }
        #expect(error?.cause == .failed("wait there", .addressInUse))
        _ = try TakeoverClient.take(path: path)
      }
    }
  }

  @Test("what is no message, or not a whole one, is refused, and its descriptors are closed")
  func malformed() async throws {
    let good = TakeoverMessage(.listener, text: "127.0.0.1:1", descriptorCount: 2).bytes
    var otherVersion = good
    otherVersion[5] = 9
    var otherKind = good
    otherKind[6] = 77
    let cases: [([UInt8], String)] = [
      (Array(good.dropLast()), "is not whole"), (Array(good.prefix(9)), "is not whole"),
      (Array(good.prefix(3)), "does not begin as one"), (good + [0], "is not whole"),
      (Array("HTTP/1.1 400".utf8), "does not begin as one"), (otherVersion, "speaks version 9"),
      (otherKind, "unknown kind 77"),
      (good + [UInt8](repeating: 0, count: 1000), "a message is too long"),
      (TakeoverMessage(.listener, text: "127.0.0.1:1", descriptorCount: 1).bytes, "and says 1"),
      (TakeoverMessage(.end, descriptorCount: 2).bytes, "at the wrong time"),
      (TakeoverMessage(.handedOver, descriptorCount: 2).bytes, "at the wrong time"),
      (TakeoverMessage(.listener, text: "nowhere", descriptorCount: 2).bytes, "is no address"),
    ]
    for (bytes, reason) in cases {
      try await withFolder { folder in
        let server = try RawTakeover(folder + "/path")
        let path = folder + "/path"
        let found = Guarded<TakeoverError?>(nil)
        await Crew.run(2) { role in
          if role == 0 {
            found.value = error(path)
          } else {
            server.answer([good, bytes], descriptors: 2)
          }
        }
        #expect(found.value?.description.contains(reason) == true, "\(found.value as Any)")
        server.close()
      }
    }
  }

  @Test("a process that says nothing is waited for no longer than asked")
  func silence() async throws {
    try await withFolder { folder in
      let server = try RawTakeover(folder + "/path")
      #expect(error(folder + "/path", within: .milliseconds(20))?.cause == .timedOut)
      server.close()
    }
  }

  @Test("a client of another version learns of this one's, and the server goes on")
  func otherVersion() async throws {
    try await withFolder { folder in
      try await withServer(folder) { path in
        let client = fdp_socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue))
        defer { _ = fdp_close(client) }
        #expect(
          try SocketAddress.unix(path: path).withSockAddr { fdp_connect(client, $0, $1) } == 0)
        var hello = TakeoverMessage(.hello).bytes
        hello[5] = 2
        #expect(fdp_send(client, hello, hello.count, 0) == hello.count)
        var answer = [UInt8](repeating: 0, count: 600)
        #expect(fdp_poll(client, POLLIN, 30_000) > 0)
        let count = fdp_receive(client, &answer, answer.count, 0)
        try #require(count > 10)
        #expect(Array(answer[..<7]) == Array("FDTK".utf8) + [0, 1, 6])
        _ = try TakeoverClient.take(path: path)
      }
    }
  }
}

/// A server that says what a test wants it to say.
private final class RawTakeover: Sendable {
  private let socket: Int32
  private let isClosed = Atomic(false)

  init(_ path: String) throws {
    socket = fdp_socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue))
    let bound = try SocketAddress.unix(path: path).withSockAddr { [socket] in
      fdp_bind(socket, $0, $1)
    }
    try #require(bound == 0)
    try #require(fdp_listen(socket, 1) == 0)
  }

  deinit { close() }

  func close() { if !isClosed.exchange(true, ordering: .relaxed) { _ = fdp_close(socket) } }

  /// Accepts a client and sends it messages, each with so many descriptors.
  func answer(_ messages: [[UInt8]], descriptors count: Int) {
    guard fdp_poll(socket, POLLIN, 30_000) > 0 else { return }
    let client = fdp_accept(socket, nil, nil)
    // What is unread at its close would be a reset, which overtakes the messages.
    var hello = [UInt8](repeating: 0, count: 600)
    guard fdp_poll(client, POLLIN, 30_000) > 0 else { return }
    _ = fdp_receive(client, &hello, hello.count, 0)
    let descriptors = (0..<count).map { _ in fdp_open_null() }
    for message in messages {
      _ = fdp_send_descriptors(client, message, message.count, descriptors, descriptors.count)
    }
    for descriptor in descriptors + [client] { _ = fdp_close(descriptor) }
  }
}
