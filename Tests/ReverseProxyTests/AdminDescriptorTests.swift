import CShims
import FDNet
import Glibc
import Synchronization
import SystemPackage
import TestKit
import Testing

@testable import FDPoller
@testable import ReverseProxy

@Suite("Descriptors at the admin address", .everyBackend, .serialized, .ledger)
struct AdminDescriptorTests {
  private func lines(_ stage: AdminStage, _ query: String = "") throws -> [String] {
    try stage.ask("/fds" + query).body.split(separator: "\n").map(String.init)
  }

  @Test("each descriptor has a line that says what it is, and none is suspicious at rest")
  func allInOrder() async throws {
    try await AdminStage.with { stage in
      let client = try PlainClient(to: stage.clients)
      #expect(try client.ask("/").status == 200)
      _ = try await stage.metrics { $0.sum("fdproxy_pool_idle") == 1 }
      let found = try lines(stage)
      func count(_ text: String) -> Int { found.count { $0.contains(text) } }
      #expect(count("listens at \(stage.clients)") == 2)
      #expect(count("listens at \(stage.admin)") == 2)
      #expect(count("client 127.0.0.1:") == 1)
      #expect(count("looks at this, from ") == 1)
      #expect(count("parked; to backend 127.0.0.1:") == 1)
      #expect(found.dropLast().allSatisfy { $0.hasPrefix("  fd ") }, "\(found)")
      #expect(
        found.last == "\(found.count - 1) descriptors, 0 suspicious, 1 parked, 1 idle in the pool")
    }
  }

  @Test("more than the limit are counted and not shown, and all are with all=1")
  func limit() async throws {
    try await AdminStage.with { stage in
      let clients = try (0..<600).map { _ in try PlainClient(to: stage.clients) }
      #expect(await eventually { stage.proxy.clientCount == clients.count })
      let few = try lines(stage, "?limit=5")
      #expect(few.count == 6)
      #expect(few.last?.contains("more in order: all=1 shows them") == true)
      #expect(try lines(stage, "?all=1").count { $0.contains("client 127.0.0.1:") } == 600)
    }
  }

  @Test("a connection on which nothing moves is suspicious after the time that was given")
  func silence() async throws {
    try await AdminStage.with { stage in
      let client = try PlainClient(to: stage.clients)
      #expect(await eventually { stage.proxy.clientCount == 1 })
      let isMarked = try await eventually(within: .seconds(10)) {
        try lines(stage, "?idle=1").contains {
          $0.hasPrefix("! fd ") && $0.contains("client 127.0.0.1:")
            && $0.contains("suspicious: nothing has moved for 1 s")
        }
      }
      #expect(isMarked)
      withExtendedLifetime(client) {}
    }
  }

  @Test(
    "a handler that does not return, and a descriptor that must close behind it, are suspicious")
  func stuck() async throws {
    try await AdminStage.with { stage in
      var ends: [Int32] = [0, 0]
      try #require(fdp_socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), &ends) == 0)
      let gate = Gate()
      let handler = Stuck(gate)
      let handle = try stage.poller.insert(
        FileDescriptor(rawValue: ends[0]), handler: handler, on: .loop(stage.poller.loops[1]),
        wanting: .read, options: .fresh)
      defer { close(ends[1]) }
      let admin = try stage.clientOfLoop(0)
      #expect(write(ends[1], "x", 1) == 1)
      #expect(await eventually { gate.holdsSomebody })
      let inside = try admin.ask("/fds").body
      #expect(inside.contains("suspicious: its handler does not return"))
      stage.poller.delete(handle)
      let closing = try admin.ask("/fds").body
      #expect(closing.contains("suspicious: it must close, and somebody stays inside"))
      gate.open()
      #expect(await eventually { handler.isGone.load(ordering: .relaxed) })
    }
  }

  @Test("what is parked and in no list of idle connections is suspicious")
  func stranded() async throws {
    try await AdminStage.with { stage in
      let fd = fdp_socket(AF_INET, Int32(SOCK_STREAM.rawValue))
      try #require(fd >= 0)
      let result = stage.clients.withSockAddr { fdp_connect(fd, $0, $1) }
      #expect(result == 0 || result == -EINPROGRESS)
      let loop = stage.poller.loops[0]
      let handle = try stage.poller.insert(
        FileDescriptor(rawValue: fd), handler: DescriptorHandler(), on: .loop(loop), wanting: [],
        options: .fresh)
      loop.run { loop.park(handle) }
      let isMarked = try await eventually(within: .seconds(10)) {
        try lines(stage).contains {
          $0.hasPrefix("! fd \(handle.fd): ") && $0.contains("it is parked, and in no list")
        }
      }
      #expect(isMarked)
    }
  }
}

/// Does not come back until it is let go.
private final class Stuck: DescriptorHandler, @unchecked Sendable {
  private let gate: Gate
  let isGone = Atomic(false)

  init(_ gate: Gate) { self.gate = gate }

  override func ready(_ readiness: Readiness, of handle: FDHandle, on loop: EventLoop) {
    var byte: UInt8 = 0
    _ = read(handle.fd, &byte, 1)
    loop.noteProgress(of: handle)
    gate.wait()
  }

  override func departed(_ handle: FDHandle, _ departure: Departure) {
    isGone.store(true, ordering: .relaxed)
  }
}

extension AdminStage {
  /// A client of the admin address whose connection is on that loop, and was asked something.
  fileprivate func clientOfLoop(_ index: Int) throws -> PlainClient {
    while true {
      let before = poller.snapshot().loops[index][.descriptorsInserted]
      let client = try PlainClient(to: admin)
      #expect(try client.ask("/").status == 200)
      if poller.snapshot().loops[index][.descriptorsInserted] > before { return client }
    }
  }
}
