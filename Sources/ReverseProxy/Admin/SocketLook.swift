import CShims
import FDNet
import Glibc

/// What the kernel knows of a descriptor that may be a socket. For looking only: the number may be
/// another's by now, so the caller makes sure afterwards that it was not.
struct SocketLook {
  let local: SocketAddress?
  let peer: SocketAddress?
  /// The number is not open.
  let isClosed: Bool
  /// By the numbers of <netinet/tcp.h>; nil if it is no TCP socket.
  private let state: UInt32?
  /// Since something was received or sent last, in milliseconds; nil for what is no connection.
  let silence: UInt32?

  init(_ fd: Int32) {
    var facts = fdp_tcp_facts()
    let result = fdp_tcp_look(fd, &facts)
    isClosed = result == -EBADF
    state = result == 0 ? facts.state : nil
    local = isClosed ? nil : SocketAddress.reading { fdp_local_address(fd, $0, $1) }
    peer = isClosed ? nil : SocketAddress.reading { fdp_peer_address(fd, $0, $1) }
    silence = result == 0 && peer != nil ? min(facts.received_ago, facts.sent_ago) : nil
  }

  var isListening: Bool { state == 10 }
  /// The peer has sent all that it will, and this side has not ended.
  var peerHasEnded: Bool { state == 8 }

  /// Its state in words, of a TCP connection.
  var stateWords: String? {
    switch state {
    case 1: "established"
    case 2: "connecting"
    case 4, 5: "ended by this side"
    case 8: "ended by the peer"
    case 6, 7, 9, 11: "ended"
    default: nil
    }
  }
}

/// What a socket is for, by the addresses that it has.
struct SocketPlaces {
  private var backends: [SocketAddress: String] = [:]
  private let listeners: Set<SocketAddress>
  private let admin: Set<SocketAddress>

  init(_ plan: ProxyPlan, _ listeners: [SocketAddress], admin: [SocketAddress]) {
    self.listeners = Set(listeners)
    self.admin = Set(admin)
    for backend in plan.backends.values {
      for endpoint in backend.endpoints { backends[endpoint.address] = backend.name }
    }
  }

  /// Begins with a semicolon; empty if nothing is known.
  func words(for socket: SocketLook) -> String {
    guard let local = socket.local else { return socket.isClosed ? "" : "; no socket" }
    guard let peer = socket.peer else {
      return socket.isListening || listeners.contains(local) || admin.contains(local)
        ? "; listens at \(local)" : ""
    }
    let role =
      if let backend = backends[peer] {
        "to backend \(backend)"
      } else if admin.contains(local) {
        "looks at this, from \(peer)"
      } else if listeners.contains(where: { $0.port == local.port }) {
        "client \(peer) at \(local)"
      } else {
        "\(local) to \(peer)"
      }
    let state = socket.stateWords.map { ", \($0)" } ?? ""
    let silence = socket.silence.map { ", silent for \($0 / 1000).\($0 % 1000 / 100) s" } ?? ""
    return "; \(role)\(state)\(silence)"
  }
}
