import CShims
import FDPoller
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDNet

@Suite("Listeners that change hands", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ListenerHandOverTests {
  typealias Shape = (threads: Int, groups: Int)

  struct Change: Sendable, CustomTestStringConvertible {
    let family: Family
    let sharing: Listener.Sharing
    let before: Shape
    let after: Shape
    var testDescription: String { "\(family), \(sharing), \(before) to \(after)" }

    private static let shapes: [(Shape, Shape)] = [
      ((1, 1), (3, 1)), ((3, 1), (1, 1)), ((2, 2), (3, 3)), ((3, 3), (2, 1)),
    ]

    static let all: [Change] = Family.all.flatMap { family in
      [Listener.Sharing.socketPerLoop, .socketPerGroup].flatMap { sharing in
        shapes.map { Change(family: family, sharing: sharing, before: $0.0, after: $0.1) }
      }
    }
  }

  private func handOver(_ listener: Listener) async {
    let isDone = Tally()
    listener.handOver { isDone.add() }
    #expect(await eventually { isDone.value == 1 })
    // It is over: neither does anything more.
    listener.handOver { isDone.add() }
    listener.close()
    #expect(isDone.value == 1)
  }

  @Test("every socket is adopted, and who is queued there is served", arguments: Change.all)
  func adoptsAll(change: Change) async throws {
    try await withTestedPoller(threads: change.before.threads, groups: change.before.groups) {
      old in
      try await withTestedPoller(threads: change.after.threads, groups: change.after.groups) {
        new in
        let former = Server()
        let listener = try Listener(
          change.family.address, on: old, sharing: change.sharing, makeHandler: former.makeHandler)
        let early = try Peer(to: listener.address)
        #expect(await eventually { former.count == 1 })
        let copies = try listener.duplicatedDescriptors()
        await handOver(listener)
        // Nobody accepts at this moment.
        let peers = try (0..<60).map { _ in try Peer(to: listener.address) }
        let server = Server()
        let successor = try Listener(
          adopting: copies, at: listener.address, on: new, sharing: change.sharing,
          makeHandler: server.makeHandler)
        #expect(successor.address == listener.address)
        for peer in peers + [early] { try peer.send("ping") }
        for peer in peers + [early] { #expect(try peer.receiveText(4) == "ping") }
        #expect(server.count == peers.count && former.count == 1)
        for peer in peers + [early] { peer.close() }
        // Every loop has its share of those who come one by one.
        var clients = 0
        while clients < 2000 && server.loops.count < new.loops.count {
          let peer = try Peer(to: listener.address)
          clients += 1
          try peer.send("ping")
          #expect(try peer.receiveText(4) == "ping")
        }
        #expect(server.loops.count == new.loops.count)
        successor.close()
        #expect(await eventually { server.areAllClosed && former.areAllClosed })
      }
    }
  }

  @Test("a Unix socket's file stays when the listener is handed over, and goes with the successor")
  func unixFile() async throws {
    var template = Array("/tmp/fdnet-XXXXXX".utf8CString)
    let folder = String(cString: try #require(mkdtemp(&template)))
    defer { rmdir(folder) }
    let path = folder + "/socket"
    try await withTestedPoller(threads: 2) { poller in
      let listener = try Listener(.unix(path: path), on: poller) { _ in Recorder.echo() }
      let copies = try listener.duplicatedDescriptors()
      let surplus = try listener.duplicatedDescriptors()
      await handOver(listener)
      #expect(access(path, F_OK) == 0)
      // One that cannot be made leaves the file.
      let idle = try Poller(PollerConfiguration(threads: 1))
      let error = #expect(throws: ListenError.self) {
        try Listener(adopting: surplus, at: listener.address, on: idle) { _ in nil }
      }
      #expect(error?.cause == .poller(.notRunning))
      try idle.stop()
      #expect(access(path, F_OK) == 0)
      let server = Server()
      let successor = try Listener(
        adopting: copies, at: listener.address, on: poller, makeHandler: server.makeHandler)
      let peer = try Peer(to: listener.address)
      try peer.send("ping")
      #expect(try peer.receiveText(4) == "ping")
      peer.close()
      successor.close()
      #expect(access(path, F_OK) == -1)
      #expect(await eventually { server.areAllClosed })
    }
  }

  @Test("what is no listening socket of that address is refused, and all is closed")
  func unsuitable() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let good = try Listener(.loopback(port: 0), on: poller) { _ in nil }
      let stream = Int32(SOCK_STREAM.rawValue)
      let pipe = FileDescriptor.nonBlockingPipe()
      pipe.writer.closeForGood()
      let cases: [(Int32, String)] = [
        (pipe.reader.rawValue, "is no socket"),
        (fdp_socket(AF_INET, Int32(SOCK_DGRAM.rawValue)), "is no stream socket"),
        (fdp_socket(AF_INET, stream), "does not listen"),
        (listening(AF_INET), "listens on 0.0.0.0:"), (1 << 20, "is not open"),
      ]
      for (fd, reason) in cases {
        // Between good ones.
        let some = try good.duplicatedDescriptors() + [FileDescriptor(rawValue: fd)]
        let passed = try some + good.duplicatedDescriptors()
        let error = #expect(throws: ListenError.self) {
          try Listener(adopting: passed, at: good.address, on: poller) { _ in nil }
        }
        let text = error?.description ?? ""
        #expect(
          text.hasPrefix(
            "cannot listen on \(good.address): the descriptor \(fd) passed for it \(reason)"))
      }
      let error = #expect(throws: ListenError.self) {
        try Listener(adopting: [], at: good.address, on: poller) { _ in nil }
      }
      #expect(error?.cause == .unsuitable("no descriptor was passed for it"))
      // Any port is asked for.
      let any = try Listener(
        adopting: good.duplicatedDescriptors(), at: .loopback(port: 0), on: poller
      ) { _ in nil }
      #expect(any.address == good.address)
      any.close()
      good.close()
      #expect(
        await eventually {
          guard let copies = try? good.duplicatedDescriptors() else { return true }
          for copy in copies { copy.closeForGood() }
          return false
        }, "it is closed by now")
    }
  }

  /// A socket that listens at a port of the kernel's choice, on all addresses.
  private func listening(_ domain: Int32) -> Int32 {
    let fd = fdp_socket(domain, Int32(SOCK_STREAM.rawValue))
    precondition(fdp_listen(fd, 1) == 0)
    return fd
  }
}
