package import FDHTTP

/// What a stream of bytes was read as.
package struct Reading: Equatable {
  /// What stands at the beginning of the stream.
  package enum Kind: Equatable, Sendable {
    case requests
    case responses(answering: HTTPMethod)
    /// A body, without a head before it.
    case body(HTTPFraming)
  }

  package enum Outcome: Equatable {
    /// Everything was read, and the last message goes on or another may come.
    case wantsMore
    case refused(HTTPViolation.Reason)
  }

  package var messages: [Message] = []
  package var outcome = Outcome.wantsMore

  /// Of nothing yet.
  init() {}

  /// The reason for which it was refused.
  package var refusal: HTTPViolation.Reason? {
    if case .refused(let reason) = outcome { reason } else { nil }
  }

  /// - Parameters:
  ///   - bytes: all that arrive.
  ///   - kind: what they are.
  ///   - limits: of the heads.
  ///   - cuts: where one arrival ends and the next begins, in order.
  package init(
    _ bytes: [UInt8], as kind: Kind, limits: HTTPLimits = HTTPLimits(), cuts: [Int] = []
  ) {
    var reader = StreamReader(kind, limits)
    var start = 0
    for cut in cuts + [bytes.count] {
      reader.receive(bytes[start..<cut])
      start = cut
    }
    self = reader.reading
  }
}

/// Bytes that a literal can be compared with.
package struct Text: Hashable, ExpressibleByStringLiteral {
  package var bytes: [UInt8]

  package init(_ bytes: [UInt8]) { self.bytes = bytes }
  package init(stringLiteral value: String) { bytes = Array(value.utf8) }
  init(_ span: RawSpan) { bytes = span.withUnsafeBytes { Array($0) } }
}

extension Text: CustomStringConvertible {
  package var description: String { String(decoding: bytes, as: UTF8.self) }
}
