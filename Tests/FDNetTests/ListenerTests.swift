import CShims
import FDPoller
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDNet

@Suite("Listening", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ListenerTests {
  /// A poller's shape and a way to share the work on it.
  struct Arrangement: Sendable, CustomTestStringConvertible {
    let family: Family
    let sharing: Listener.Sharing
    let threads: Int
    let groups: Int
    var testDescription: String { "\(family), \(sharing), \(threads) loops in \(groups) groups" }

    static let all = Family.all.flatMap { family in
      [Listener.Sharing.socketPerLoop, .socketPerGroup].flatMap { sharing in
        [(1, 1), (3, 1), (4, 2), (3, 3)].map { threads, groups in
          Arrangement(family: family, sharing: sharing, threads: threads, groups: groups)
        }
      }
    }
  }

  @Test("all loops get clients in time, and every client is served", arguments: Arrangement.all)
  func allLoopsGetClients(arrangement: Arrangement) async throws {
    try await withTestedPoller(threads: arrangement.threads, groups: arrangement.groups) { poller in
      let server = Server()
      try await withListener(
        arrangement.family.address, on: poller, server, sharing: arrangement.sharing
      ) { listener in
        #expect(listener.address.port != 0)
        var clients = 0
        while clients < 2000 && server.loops.count < poller.loops.count {
          let peer = try Peer(to: listener.address)
          clients += 1
          // One after the other: each finds all loops asleep.
          try peer.send("ping \(clients)")
          #expect(try peer.receiveText("ping \(clients)".utf8.count) == "ping \(clients)")
        }
        #expect(server.loops.count == poller.loops.count)
        #expect(listener.statistics == Listener.Statistics(accepted: clients))
        #expect(await eventually { server.areAllClosed })
      }
    }
  }

  @Test("a burst of clients is served, each once", arguments: Arrangement.all)
  func burst(arrangement: Arrangement) async throws {
    try await withTestedPoller(threads: arrangement.threads, groups: arrangement.groups) { poller in
      let server = Server()
      try await withListener(
        arrangement.family.address, on: poller, server, sharing: arrangement.sharing
      ) { listener in
        let peers = try (0..<150).map { _ in try Peer(to: listener.address) }
        for (number, peer) in peers.enumerated() { try peer.send("client \(number)\n") }
        for (number, peer) in peers.enumerated() {
          let text = "client \(number)\n"
          #expect(try peer.receiveText(text.utf8.count) == text)
        }
        #expect(server.count == peers.count)
      }
    }
  }

  @Test("a close accepts who is queued already, and nobody after", arguments: Arrangement.all)
  func closeAcceptsTheQueue(arrangement: Arrangement) async throws {
    try await withTestedPoller(threads: arrangement.threads, groups: arrangement.groups) { poller in
      let server = Server()
      let listener = try Listener(
        arrangement.family.address, on: poller, sharing: arrangement.sharing,
        makeHandler: server.makeHandler)
      var held: [Held] = []
      for loop in poller.loops { held.append(try await Held(loop)) }
      let peers = try (0..<40).map { _ in try Peer(to: listener.address) }
      #expect(server.count == 0)
      listener.close()
      listener.close()
      for loop in held { loop.letGo() }
      for peer in peers {
        try peer.send("ping")
        #expect(try peer.receiveText(4) == "ping")
      }
      #expect(await eventually { poller.snapshot().liveDescriptors == peers.count })
      #expect(throws: Errno.connectionRefused) { try Peer(to: listener.address) }
      for peer in peers { peer.close() }
      #expect(await eventually { server.areAllClosed })
      #expect(server.count == peers.count)
    }
  }

  @Test("a listener that is not closed ends with its poller", arguments: Family.all)
  func endsWithThePoller(family: Family) async throws {
    try await withTestedPoller(threads: 3) { poller in
      let listener = try Listener(family.address, on: poller) { _ in Recorder() }
      let peer = try Peer(to: listener.address)
      #expect(await eventually { listener.statistics.accepted == 1 })
      peer.close()
    }
  }

  @Test("whom makeHandler gives no handler is turned away", arguments: Family.all)
  func turnsAway(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let listener = try Listener(family.address, on: poller) { _ in nil }
      let peer = try Peer(to: listener.address)
      if family == .unix {
        #expect(try peer.receive().isEmpty)
      } else {
        #expect(throws: Errno.connectionReset) { try peer.receive() }
      }
      listener.close()
    }
  }

  enum EarlyAct: CaseIterable, Sendable {
    case writeAndClose
    case abort
    case move
  }

  @Test(
    "a connection may be used, ended or moved before its handler is known",
    arguments: EarlyAct.allCases)
  func actsInMakeHandler(act: EarlyAct) async throws {
    try await withTestedPoller(threads: 2) { poller in
      let recorder = Recorder.echo()
      let bytes = pattern(3 << 20)
      let listener = try Listener(.loopback(port: 0), on: poller) { connection in
        switch act {
        case .writeAndClose:
          connection.write(bytes)
          connection.close()
        case .abort: connection.abort()
        case .move: connection.move(to: poller.loops[1 - connection.loop.index])
        }
        return recorder
      }
      let peer = try Peer(to: listener.address)
      switch act {
      case .writeAndClose:
        #expect(try await Background { try peer.receiveToEnd() == bytes }.value())
      case .abort:
        #expect(throws: Errno.connectionReset) { try peer.receive() }
      case .move:
        try peer.send("ping")
        #expect(try peer.receiveText(4) == "ping")
        #expect(recorder.log.moves.count == 1)
      }
      peer.close()
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.log.closes.count == 1)
      listener.close()
    }
  }

  @Test("accepted sockets have TCP_NODELAY as the settings say", arguments: [true, false])
  func noDelay(isSet: Bool) async throws {
    try await withTestedPoller(threads: 2) { poller in
      let values = Guarded<[Int32]>([])
      let listener = try Listener(
        .loopback(port: 0), on: poller, settings: ConnectionSettings(noDelay: isSet)
      ) { connection in
        var value: Int32 = -1
        _ = fdp_get_option(connection.handle.fd, Int32(IPPROTO_TCP), TCP_NODELAY, &value)
        values.withLock { $0.append(value) }
        return nil
      }
      for _ in 0..<10 { _ = try Peer(to: listener.address) }
      #expect(await eventually { values.value.count == 10 })
      #expect(Set(values.value) == [isSet ? 1 : 0])
      listener.close()
    }
  }
}

@Suite(
  "Addresses that cannot be listened on", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ListenErrorTests {
  private func error(
    _ address: SocketAddress, on poller: Poller
  ) -> ListenError? {
    do {
      try Listener(address, on: poller) { _ in nil }.close()
      return nil
    } catch {
      return error
    }
  }

  @Test("a port in use is refused, whoever uses it", arguments: Family.tcp)
  func portInUse(family: Family) async throws {
    try await withTestedPoller(threads: 2) { poller in
      let raw = try RawListener(family.address)
      let another = try Listener(family.address, on: poller) { _ in nil }
      for address in [raw.address, another.address] {
        let error = error(address, on: poller)
        #expect(error?.cause == .refused(.addressInUse))
        #expect(
          error?.description
            == "cannot listen on \(address): Address already in use (errno 98): "
            + "another program listens there")
      }
      another.close()
      // The connections that a former listener has left behind are no obstacle.
      #expect(await eventually { self.error(another.address, on: poller) == nil })
    }
  }

  @Test("an address that the machine does not have is refused")
  func foreignAddress() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let address = SocketAddress(ipv4: (192, 0, 2, 1), port: 0)
      #expect(
        error(address, on: poller)?.description
          == "cannot listen on 192.0.2.1:0: Cannot assign requested address (errno 99): "
          + "no interface of this machine has that address")
    }
  }

  @Test("on a poller that does not run nothing listens, and nothing is left", arguments: Family.all)
  func pollerNotRunning(family: Family) async throws {
    let poller = try Poller(PollerConfiguration(threads: 2))
    try await withFolder { folder in
      let address = family == .unix ? try .unix(path: folder + "/socket") : family.address
      let error = error(address, on: poller)
      #expect(error?.cause == .poller(.notRunning))
      #expect(
        error?.description == "cannot listen on \(address): \(PollerError.notRunning)")
      #expect(access(folder + "/socket", F_OK) == -1)
    }
    try poller.stop()
  }

  /// An empty folder, removed with its files at the end.
  private func withFolder(_ body: (String) async throws -> Void) async rethrows {
    let folder = makeFolder()
    try await body(folder)
    for name in ["socket", "link", "target"] { unlink(folder + "/" + name) }
    rmdir(folder)
  }

  private func makeFolder() -> String {
    var template = Array("/tmp/fdnet-XXXXXX".utf8CString)
    guard let path = mkdtemp(&template) else { preconditionFailure("no folder: errno \(errno)") }
    return String(cString: path)
  }

  @Test("a Unix socket's file that nobody listens at is replaced, and goes with the listener")
  func abandonedSocket() async throws {
    try await withFolder { folder in
      let path = folder + "/socket"
      let address = try SocketAddress.unix(path: path)
      // A server that has died leaves its file.
      try RawListener(address).close()
      #expect(access(path, F_OK) == 0)
      try await withTestedPoller(threads: 3) { poller in
        let server = Server()
        try await withListener(address, on: poller, server) { listener in
          let peer = try Peer(to: address)
          try peer.send("ping")
          #expect(try peer.receiveText(4) == "ping")
        }
        #expect(access(path, F_OK) == -1)
      }
    }
  }

  @Test("a Unix socket that somebody listens at is left alone")
  func liveSocket() async throws {
    try await withFolder { folder in
      let path = folder + "/socket"
      let live = try RawListener(.unix(path: path))
      try await withTestedPoller(threads: 2) { poller in
        let error = error(live.address, on: poller)
        #expect(error?.cause == .refused(.addressInUse))
        #expect(error?.description.hasSuffix("or the file is no socket") == true)
      }
      #expect(access(path, F_OK) == 0)
      _ = try Peer(to: live.address)
      close(try live.accept())
    }
  }

  @Test("a file that is no socket is left alone", arguments: ["socket", "link"])
  func otherFile(name: String) async throws {
    try await withFolder { folder in
      // connect(2) says of a file, and of a link to one, that nobody listens there.
      let target = folder + (name == "link" ? "/target" : "/socket")
      let file = open(target, O_CREAT | O_WRONLY, 0o600)
      close(file)
      if name == "link" { symlink(target, folder + "/link") }
      try await withTestedPoller(threads: 1) { poller in
        let error = error(try .unix(path: folder + "/" + name), on: poller)
        #expect(error?.cause == .refused(.addressInUse))
      }
      #expect(access(folder + "/" + name, F_OK) == 0)
      #expect(access(target, F_OK) == 0)
    }
  }

  @Test("a folder that is not there is refused")
  func missingFolder() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let address = try SocketAddress.unix(path: "/tmp/fdnet-no-such-folder/socket")
      #expect(error(address, on: poller)?.cause == .refused(.noSuchFileOrDirectory))
    }
  }
}
