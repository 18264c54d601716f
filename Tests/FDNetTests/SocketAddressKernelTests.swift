import CShims
import Glibc
import Testing

@testable import FDNet

// Addresses in the kernel's form, through real sockets.

extension `Socket addresses` {
  /// One of every family that this machine has; in a container that may be all but IPv6.
  static let kernelFamilies: [SocketAddress] = {
    let unix = try! SocketAddress.unix(path: "@fdnet-tests-\(getpid())")
    return [.loopback(port: 0), unix] + (hasIPv6 ? [.ipv6Loopback(port: 0)] : [])
  }()

  private static let hasIPv6: Bool = {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0, let list else { return false }
    defer { freeifaddrs(list) }
    return sequence(first: list.pointee, next: \.ifa_next?.pointee)
      .contains { $0.ifa_addr.map { Int32($0.pointee.sa_family) } == AF_INET6 }
  }()

  @Test(arguments: kernelFamilies)
  func `the kernel binds an address and reports the same one`(address: SocketAddress) throws {
    let fd = try listen(at: address)
    defer { close(fd) }
    let bound = try #require(SocketAddress.reading { bytes, length in local(fd, bytes, length) })
    #expect(bound.family == address.family)
    #expect(bound.port != 0)
    if address.port == nil { #expect(bound == address) }
    #expect(try SocketAddress(parsing: bound.description) == bound)

    // Connecting and accepting say the same of both ends.
    let client = socket(bound.domain, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(client) }
    #expect(bound.withSockAddr { connect(client, socketAddress($0), $1) } == 0)
    var server: Int32 = -1
    let peer = SocketAddress.reading { bytes, length in
      server = accept(fd, bytes.assumingMemoryBound(to: sockaddr.self), length)
      return server
    }
    defer { close(server) }
    #expect(server >= 0)
    #expect(peer == SocketAddress.reading { bytes, length in local(client, bytes, length) })
    #expect(peer?.family == address.family)
  }

  @Test(arguments: [50, 107, 108])
  func `the kernel binds a path and reports the same one`(bytes: Int) throws {
    var template = Array("/tmp/fdnet-XXXXXX".utf8CString)
    let directory = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer { rmdir(directory) }
    let path = directory + "/" + String(repeating: "p", count: bytes - directory.utf8.count - 1)
    defer { unlink(path) }

    // No text stands for 108 bytes, yet another program may have bound them.
    let address = try #require(
      bytes > 107 ? kernelForm(ofPath: path) : SocketAddress.unix(path: path))
    let fd = try listen(at: address)
    defer { close(fd) }
    let bound = SocketAddress.reading { bytes, length in local(fd, bytes, length) }
    #expect(bound == address)
    #expect(bound?.description == "unix:" + path)
    #expect(access(path, F_OK) == 0)
  }

  @Test func `a socket that was never bound has an address without a name`() throws {
    let fd = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(fd) }
    let address = try #require(SocketAddress.reading { bytes, length in local(fd, bytes, length) })
    #expect(address.family == .unix)
    #expect(address.description == "unix:")
    #expect(address.withSockAddr { $1 } == 2)
  }

  @Test func `a path that begins with @ is not described as an abstract name`() throws {
    let address = try #require(kernelForm(ofPath: "@a"))
    #expect(address.description == "unix:./@a")
  }

  @Test func `only a path that a file can have is a path to unlink`() throws {
    #expect(try SocketAddress.unix(path: "/run/é").unixPath == "/run/é")
    #expect(kernelForm(ofPath: "@a")?.unixPath == "@a")
    #expect(try SocketAddress.unix(path: "@a").unixPath == nil)
    #expect(SocketAddress.loopback(port: 1).unixPath == nil)
    let unnamed: [UInt8] = [UInt8(AF_UNIX), 0]
    #expect(SocketAddress(sockaddr: unnamed, length: 2)?.unixPath == nil)
    let latin1: [UInt8] = [UInt8(AF_UNIX), 0, UInt8(ascii: "/"), 0xE9]
    #expect(SocketAddress(sockaddr: latin1, length: 4)?.unixPath == nil)
    #expect(SocketAddress(sockaddr: latin1, length: 4)?.description == "unix:/\u{FFFD}")
  }

  @Test func `the error of the body passes through`() {
    #expect(throws: CancellationError.self) {
      try SocketAddress.loopback(port: 1).withSockAddr { _, _ in throw CancellationError() }
    }
  }

  @Test func `a failed call, a short address and another family are no address`() {
    #expect(SocketAddress.reading { _, _ in -EBADF } == nil)
    #expect(
      SocketAddress.reading { _, length in
        length.pointee = 0
        return 0
      } == nil)
    for address in [SocketAddress.loopback(port: 1), .ipv6Loopback(port: 1)] {
      #expect(address.withSockAddr { SocketAddress(sockaddr: $0, length: $1 - 1) } == nil)
    }
    let fd = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue), 0)
    defer { close(fd) }
    #expect(SocketAddress.reading { bytes, length in local(fd, bytes, length) } == nil)
  }

  @Test func `a sockaddr need not be aligned`() {
    let address = SocketAddress.ipv6Loopback(port: 80)
    let copy = address.withSockAddr { bytes, length in
      withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { buffer in
        let odd = buffer.baseAddress! + 1
        odd.copyMemory(from: bytes, byteCount: Int(length))
        return SocketAddress(sockaddr: odd, length: length)
      }
    }
    #expect(copy == address)
  }
}

/// A listening socket of the address's family; the caller closes it.
private func listen(at address: SocketAddress) throws -> Int32 {
  let fd = socket(address.domain, Int32(SOCK_STREAM.rawValue), 0)
  try #require(fd >= 0)
  try #require(address.withSockAddr { bind(fd, socketAddress($0), $1) } == 0)
  try #require(listen(fd, 1) == 0)
  return fd
}

private func local(
  _ fd: Int32, _ bytes: UnsafeMutableRawPointer, _ length: UnsafeMutablePointer<UInt32>
) -> Int32 {
  getsockname(fd, bytes.assumingMemoryBound(to: sockaddr.self), length)
}

private func socketAddress(_ bytes: UnsafeRawPointer) -> UnsafePointer<sockaddr> {
  bytes.assumingMemoryBound(to: sockaddr.self)
}

/// The address of a path as the kernel would report it, whatever the path is.
private func kernelForm(ofPath path: String) -> SocketAddress? {
  var form = sockaddr_un()
  form.sun_family = sa_family_t(AF_UNIX)
  withUnsafeMutableBytes(of: &form.sun_path) { $0.copyBytes(from: path.utf8) }
  return withUnsafeBytes(of: form) {
    SocketAddress(sockaddr: $0.baseAddress!, length: UInt32($0.count))
  }
}
