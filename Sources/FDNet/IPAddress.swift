import Glibc

/// An IP address without a port: what clients are told apart by, and what ranges are made of.
///
/// An IPv4 address is kept as the IPv6 address that stands for it, ::ffff:a.b.c.d (RFC 4291, section
/// 2.5.5.2), so a peer has the same one whichever kind of socket has accepted it.
package struct IPAddress: Sendable, Hashable {
  /// The first 64 bits, as a number.
  package let high: UInt64
  /// The last 64 bits.
  package let low: UInt64

  package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// - Parameter ipv4: the four numbers, the first one in the highest bits.
  package init(ipv4: UInt32) { self.init(high: 0, low: 0xFFFF_0000_0000 | UInt64(ipv4)) }

  /// Whether it is an IPv4 address, written as one or as the IPv6 address that stands for it.
  package var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

  /// Reads an address in dotted or in colon notation (inet_pton(3)): no port, no zone, no brackets.
  package init?(parsing text: some StringProtocol) {
    self.init(parsing: text.utf8)
  }

  /// As of a text, of its bytes. Allocates nothing.
  package init?(parsing text: some Collection<UInt8>) {
    guard text.count < INET6_ADDRSTRLEN else { return nil }
    let family = text.contains(UInt8(ascii: ":")) ? AF_INET6 : AF_INET
    let parsed = withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) {
      buffer -> IPAddress? in
      var end = 0
      for byte in text {
        // A NUL would hide the rest from C.
        guard byte != 0 else { return nil }
        buffer[end] = CChar(bitPattern: byte)
        end += 1
      }
      buffer[end] = 0
      if family == AF_INET {
        var address: UInt32 = 0
        guard inet_pton(family, buffer.baseAddress!, &address) == 1 else { return nil }
        return IPAddress(ipv4: UInt32(bigEndian: address))
      }
      var address: (high: UInt64, low: UInt64) = (0, 0)
      guard inet_pton(family, buffer.baseAddress!, &address) == 1 else { return nil }
      return IPAddress(high: UInt64(bigEndian: address.high), low: UInt64(bigEndian: address.low))
    }
    guard let parsed else { return nil }
    self = parsed
  }

  /// The most bytes that `write(to:)` writes, with the NUL at the end.
  package static var maximumTextBytes: Int { Int(INET6_ADDRSTRLEN) }

  /// Writes the address as text, with a NUL after it. Allocates nothing.
  ///
  /// - Parameter buffer: has room for `maximumTextBytes`.
  /// - Returns: how many bytes there are before the NUL.
  package func write(to buffer: UnsafeMutableRawBufferPointer) -> Int {
    precondition(buffer.count >= Self.maximumTextBytes, "there is no room for an address")
    let text = buffer.baseAddress!.assumingMemoryBound(to: CChar.self)
    if isIPv4 {
      var address = UInt32(truncatingIfNeeded: low).bigEndian
      inet_ntop(AF_INET, &address, text, UInt32(buffer.count))
    } else {
      var address = (high.bigEndian, low.bigEndian)
      inet_ntop(AF_INET6, &address, text, UInt32(buffer.count))
    }
    return strlen(text)
  }
}

extension IPAddress: CustomStringConvertible {
  package var description: String {
    withUnsafeTemporaryAllocation(byteCount: Self.maximumTextBytes, alignment: 1) { buffer in
      let count = write(to: buffer)
      return String(decoding: buffer[..<count], as: UTF8.self)
    }
  }
}

extension SocketAddress {
  /// The IP address without port and zone; nil for a Unix-domain address.
  package var ipAddress: IPAddress? {
    switch storage {
    case .ipv4(let address, _): IPAddress(ipv4: UInt32(bigEndian: address))
    case .ipv6(let high, let low, _, _):
      IPAddress(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low))
    case .unix: nil
    }
  }

  /// An IPv4 address is made of what stands for one.
  package init(_ address: IPAddress, port: UInt16) {
    if address.isIPv4 {
      self.init(.ipv4(UInt32(truncatingIfNeeded: address.low).bigEndian, port: port))
    } else {
      self.init(
        .ipv6(high: address.high.bigEndian, low: address.low.bigEndian, zone: 0, port: port))
    }
  }

  /// A Unix-domain address as the kernel has it, which need not be one that could be written.
  ///
  /// - Parameter unixName: the bytes of a path up to its end, or NUL and an abstract name, or none
  ///   for a socket that was never bound; at most 108.
  package init(unixName: [UInt8]) {
    precondition(unixName.count <= Self.maximumUnixNameBytes + 1, "it fits sun_path (unix(7))")
    self.init(.unix(unixName))
  }
}
