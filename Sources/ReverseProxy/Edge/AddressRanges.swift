package import FDNet

/// IP addresses by their leading bits: whom the proxy believes.
///
/// | text                 | whom it means                                                      |
/// |----------------------|--------------------------------------------------------------------|
/// | `10.0.0.0/8`         | IPv4 by the first 8 bits                                           |
/// | `fd00::/8`           | IPv6 by the first 8 bits                                           |
/// | `127.0.0.1`, `::1`   | one address                                                        |
/// | `unix:`              | whoever connects to a Unix-domain socket                           |
///
/// An IPv4 peer that comes as an IPv6 address, ::ffff:10.0.0.1, counts as IPv4; so `::/0` is every
/// IPv6 address and no IPv4 one. Zones do not count.
package struct AddressRanges: Sendable, Equatable {
  private var ranges: [AddressRange] = []
  private var hasUnixPeers = false

  /// Nobody.
  package init() {}

  /// - Parameter texts: a range each, as in the table.
  /// - Throws: `AddressRangeError` about the first that is none.
  package init(_ texts: some Sequence<String>) throws(AddressRangeError) {
    for text in texts { try insert(text) }
  }

  /// Adds a range, written as in the table.
  ///
  /// - Throws: `AddressRangeError` if it is none; nothing is added then.
  package mutating func insert(_ text: String) throws(AddressRangeError) {
    guard text != "unix:" else {
      hasUnixPeers = true
      return
    }
    ranges.append(try AddressRange(parsing: text))
  }

  package var isEmpty: Bool { ranges.isEmpty && !hasUnixPeers }

  /// Whether a peer is of one of the ranges. Allocates nothing; callable from any thread.
  package func contains(_ address: SocketAddress) -> Bool {
    guard let ip = address.ipAddress else { return hasUnixPeers }
    return contains(ip)
  }

  /// As of a socket's address.
  package func contains(_ address: IPAddress) -> Bool {
    for range in ranges where range.contains(address) { return true }
    return false
  }
}

/// The addresses that begin with the same bits.
struct AddressRange: Sendable, Equatable {
  private let first: IPAddress
  /// Which bits have to be those of `first`.
  private let mask: IPAddress

  /// - Throws: `AddressRangeError`, with what to write.
  init(parsing text: String) throws(AddressRangeError) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let address = IPAddress(parsing: parts[0]) else {
      throw AddressRangeError(
        text, "\(String(parts[0]).debugDescription) is not an IP address; \(Self.form)")
    }
    // What stands for an IPv4 address, written as IPv6, has its own 96 bits in front.
    let width = parts[0].utf8.contains(UInt8(ascii: ":")) ? 128 : 32
    let bits = parts.count == 2 ? try Self.bits(parts[1], of: width, in: text) : width
    let mask = Self.mask(bits + 128 - width)
    let first = IPAddress(high: address.high & mask.high, low: address.low & mask.low)
    guard first == address else {
      let range = "\(first)/\(first.isIPv4 ? bits + 128 - width - 96 : bits)"
      throw AddressRangeError(
        text,
        "\(address) has bits set beyond the first \(bits), which are all that count; "
          + "write \(range), or \(address) for this one address")
    }
    self.first = first
    self.mask = mask
  }

  private static let form = "write a range as 10.0.0.0/8 or fd00::/8, an address as 192.0.2.1"

  private static func bits(
    _ digits: Substring, of width: Int, in text: String
  ) throws(AddressRangeError) -> Int {
    let isNumber = !digits.isEmpty && digits.utf8.allSatisfy { (0x30...0x39).contains($0) }
    guard isNumber, digits == "0" || digits.first != "0" else {
      throw AddressRangeError(
        text,
        "\(String(digits).debugDescription) is not a number of bits; write one from 0 to \(width)")
    }
    guard let bits = Int(digits), bits <= width else {
      throw AddressRangeError(
        text,
        "an \(width == 32 ? "IPv4" : "IPv6") address has \(width) bits and not \(digits); "
          + "write a number from 0 to \(width)")
    }
    return bits
  }

  private static func mask(_ bits: Int) -> IPAddress {
    // A shift by the width of the number or more leaves nothing.
    IPAddress(high: ~0 << (64 - min(bits, 64)), low: ~0 << (128 - max(bits, 64)))
  }

  func contains(_ address: IPAddress) -> Bool {
    address.high & mask.high == first.high && address.low & mask.low == first.low
      && address.isIPv4 == first.isIPv4
  }
}

/// Why a text is no range of addresses: one line for the user who wrote it.
package struct AddressRangeError: Error, Sendable, Hashable, CustomStringConvertible {
  /// As it was given.
  package let text: String
  /// What is wrong with it, and what to write instead.
  package let reason: String

  init(_ text: String, _ reason: String) {
    self.text = text
    self.reason = reason
  }

  package var description: String {
    "cannot read the address range \(text.debugDescription): \(reason)"
  }
}
