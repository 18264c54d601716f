package import FDNet

/// The PROXY protocol's header, by which a load balancer in front says whom a connection is from.
/// Versions 1 and 2, as in <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>, section 2.
///
/// The header comes first on the connection, once; what follows it is the client's. Whatever is not
/// exactly as specified is a violation, upon which the connection is to be closed: what a peer says
/// about itself is either all right or worth nothing.
package enum ProxyHeader {
  /// What the first bytes of a connection are.
  package enum Verdict: Equatable {
    /// The beginning of a header: read again with more bytes, these included.
    case incomplete
    /// A header of so many bytes. Without a source the header says that the connection is the peer's
    /// own (LOCAL, UNKNOWN), or from a kind of network that has no address here.
    case header(byteCount: Int, source: SocketAddress?)
    /// No header: why, in one line.
    case violation(String)
  }

  /// The most bytes of a header that are taken. Version 1 has at most 107 by its specification;
  /// version 2 could have 65,551, but addresses take 232, and few senders add more than a name.
  package static let maximumByteCount = 4096

  /// Looks at the first bytes of a connection, and never beyond the header. Decides as soon as it can.
  /// Callable from any thread; allocates only for a violation and for a Unix-domain source.
  ///
  /// - Parameter bytes: all that have come.
  package static func read(_ bytes: RawSpan) -> Verdict {
    guard bytes.byteCount > 0 else { return .incomplete }
    switch bytes[0] {
    case ProxyHeaderV2.signature[0]: return ProxyHeaderV2.read(bytes)
    case ProxyHeaderV1.signature[0]: return ProxyHeaderV1.read(bytes)
    default: return .violation("the connection does not begin with a PROXY header")
    }
  }
}

extension RawSpan {
  /// Traps beyond the end.
  @inline(__always)
  subscript(offset: Int) -> UInt8 {
    // Every byte is a UInt8; the offset is checked.
    unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }

  /// A number in the order in which networks send it.
  @inline(__always)
  func bigEndian<Number: FixedWidthInteger & BitwiseCopyable>(
    _ type: Number.Type, at offset: Int
  ) -> Number {
    Number(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: type))
  }

  /// Whether the bytes are those of a signature, as far as either goes.
  func agrees(with signature: StaticString) -> Bool {
    for index in 0..<Swift.min(byteCount, signature.utf8CodeUnitCount)
    where self[index] != signature[index] {
      return false
    }
    return true
  }
}

extension StaticString {
  subscript(index: Int) -> UInt8 {
    precondition(index < utf8CodeUnitCount)
    return utf8Start[index]
  }
}
