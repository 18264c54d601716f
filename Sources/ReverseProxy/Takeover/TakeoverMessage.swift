/// What a process and its successor tell each other when listening sockets change hands.
///
/// They are connected by a Unix socket of type SOCK_SEQPACKET, which keeps messages apart. The old
/// process listens at the path, the new one connects:
///
/// | from | kind         | text           | descriptors | meaning                                       |
/// |------|--------------|----------------|-------------|-----------------------------------------------|
/// | new  | `hello`      |                |             | I am to be your successor                     |
/// | old  | `listener`   | an address     | 1 to 64     | I listen there with these; repeated if more   |
/// | old  | `end`        |                |             | these were all                                |
/// | new  | `ready`      |                |             | I accept at them; stop accepting              |
/// | old  | `handedOver` |                |             | I do; the path is yours                       |
/// | old  | `refused`    | why            |             | in the place of any of these: it is over      |
///
/// Until `ready` nothing has changed for the old process: if the new one goes, it goes on alone.
///
/// A message is `FDTK`, the version (2 bytes), the kind (1), the number of descriptors (1), the length
/// of the text (2), and the text in UTF-8; numbers of several bytes with the highest first.
struct TakeoverMessage {
  enum Kind: UInt8 {
    case hello = 1
    case listener, end, ready, handedOver, refused
  }

  static let version: UInt16 = 1
  static let maximumTextBytes = 512
  static let maximumByteCount = headByteCount + maximumTextBytes
  private static let headByteCount = 10
  private static let signature = Array("FDTK".utf8)

  let kind: Kind
  var text = ""
  /// How many come with it.
  var descriptorCount = 0

  init(_ kind: Kind, text: String = "", descriptorCount: Int = 0) {
    self.kind = kind
    self.text = text
    self.descriptorCount = descriptorCount
  }

  /// A text that is too long is cut.
  var bytes: [UInt8] {
    let text = self.text.utf8.prefix(Self.maximumTextBytes)
    return Self.signature
      + [UInt8(Self.version >> 8), UInt8(Self.version & 0xFF), kind.rawValue]
      + [UInt8(descriptorCount), UInt8(text.count >> 8), UInt8(text.count & 0xFF)] + text
  }

  /// - Parameter descriptorCount: how many have come.
  init(
    reading bytes: ArraySlice<UInt8>, descriptorCount: Int
  ) throws(TakeoverError.Reason) {
    let bytes = Array(bytes)
    guard bytes.starts(with: Self.signature), bytes.count >= 6 else {
      throw .init(.malformed("a message of \(bytes.count) bytes does not begin as one"))
    }
    // Before anything that another version may have otherwise.
    let version = UInt16(bytes[4]) << 8 | UInt16(bytes[5])
    guard version == Self.version else { throw .init(.wrongVersion(version)) }
    guard bytes.count >= Self.headByteCount,
      bytes.count == Self.headByteCount + (Int(bytes[8]) << 8 | Int(bytes[9])),
      let text = String(validating: bytes[Self.headByteCount...], as: UTF8.self)
    else { throw .init(.malformed("a message of \(bytes.count) bytes is not whole")) }
    guard let kind = Kind(rawValue: bytes[6]) else {
      throw .init(.malformed("a message is of the unknown kind \(bytes[6])"))
    }
    guard Int(bytes[7]) == descriptorCount else {
      throw .init(.malformed("a message has \(descriptorCount) descriptors and says \(bytes[7])"))
    }
    self.init(kind, text: text, descriptorCount: descriptorCount)
  }
}

extension TakeoverError {
  /// A cause whose path is added by who knows it.
  struct Reason: Error {
    let cause: Cause

    init(_ cause: Cause) { self.cause = cause }
  }
}
