import ReverseProxy

/// Reads the addresses of trusted peers.
enum Trust {
  /// - Parameter texts: addresses with the number of their leading bits, as `10.0.0.0/8`.
  static func ranges(_ texts: [String]) throws(InvalidValue) -> AddressRanges {
    do {
      return try AddressRanges(texts)
    } catch {
      throw InvalidValue(error.description)
    }
  }
}
