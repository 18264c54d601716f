import Glibc

/// Hands out free ports of 127.0.0.1, a new one each time: what an earlier server left behind in the
/// kernel is nobody's.
struct Ports {
  private var last = 20_000 + Int(getpid() % 1_000) * 4

  mutating func next() throws(Failure) -> Int {
    // Below the ports that clients get.
    for _ in 0..<12_000 {
      last = last < 32_000 ? last + 1 : 20_000
      if Self.isFree(last) { return last }
    }
    throw Failure("no port between 20000 and 32000 is free")
  }

  private static func isFree(_ port: Int) -> Bool {
    withSocket(for: port) { bind($0, $1, $2) == 0 }
  }

  /// Whether somebody listens there.
  static func answers(_ port: Int) -> Bool {
    withSocket(for: port) { connect($0, $1, $2) == 0 }
  }

  private static func withSocket(
    for port: Int, _ body: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Bool
  ) -> Bool {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard fd >= 0 else { return false }
    defer { close(fd) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }
}
