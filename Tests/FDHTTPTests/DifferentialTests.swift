import FDHTTP
import HTTPProperties
import TestKit
import Testing

@Suite("Beside another parser", .enabled(if: OtherParser.isThere, "`make setup` installs it"))
struct DifferentialTests {
  /// What RFC 9112 refuses, lets a recipient refuse, or limits, and the other reads on. It must find
  /// all else that is found here: repeated lengths, and a length beside an encoding.
  static let stricter: Set<HTTPViolation.Reason> = [
    // It takes a line feed for a line's end, passes over what is behind a return, and unfolds lines.
    .bareLineFeed, .bareCarriageReturn, .foldedLine,
    // It passes over blanks in first lines and spaces in names, and takes other versions and codes.
    .malformedMethod, .malformedTarget, .malformedVersion, .unsupportedVersion, .malformedStatus,
    .malformedFieldName, .malformedFieldValue,
    // It does not look at hosts, expectations or trailers, or at what Connection names.
    .missingHost, .repeatedHost, .malformedHost, .contradictingHost, .targetForm,
    .connectionNamesEssential, .unsupportedExpectation, .essentialTrailer,
    // It reads codings other than chunked until the connection ends, and takes them in HTTP/1.0.
    .unsupportedTransferEncoding, .repeatedTransferEncoding, .encodingInHTTP10,
    .encodingNotAllowed,
    // It has a limit of 19 digits here, and none on the rest.
    .malformedContentLength, .requestLineTooLong, .headTooLong, .tooManyFields,
    // It takes a space behind a size, anything for an extension, and, as it is built, any two bytes
    // behind a chunk's data.
    .missingChunkEnd, .malformedChunkSize, .malformedChunkExtension, .chunkExtensionTooLong,
  ]

  /// Why it refuses what RFC 9112 allows; nil is a finding.
  private static func excuse(_ refusal: OtherParser.Refusal, _ message: Message) -> String? {
    let names = message.fields.map { String(describing: $0.name).lowercased() }
    switch refusal {
    case .invalidMethod:
      return methods.contains("\(message.start[0])") ? nil : "it has a list of methods"
    case .invalidContentLength:
      return names.contains("content-length") ? "it takes no tab behind the number" : nil
    case .invalidTransferEncoding, .unexpectedContentLength:
      let isLonger = names.contains { $0.hasPrefix("transfer-encoding") && $0.utf8.count > 17 }
      return isLonger ? "it takes a name that only begins so for Transfer-Encoding" : nil
    default:
      return nil
    }
  }

  /// Of those that the corpus has.
  private static let methods: Set<String> = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT",
  ]

  /// What two verdicts on one connection come to.
  private enum Comparison: Equatable {
    /// So many messages were read to their ends by both.
    case agree(Int)
    case weRefuse(HTTPViolation.Reason)
    case theyRefuse(OtherParser.Refusal, Message)
    case differ(String)
  }

  @Test("what it refuses is refused, unless it is wrong, and what both accept has the same framing")
  func verdicts() throws {
    let corpus = try Corpus.inputs().map(\.bytes)
    var mutation = Mutation(seed: 1)
    var agreed = 0
    for bytes in corpus {
      for round in 0..<(TestRun.isSanitized ? 4 : 20) {
        let input = round == 0 ? bytes : mutation.of(bytes, among: corpus)
        for kind in HTTPProperties.kinds where kind != .body(.chunked) {
          let finding: String?
          switch Self.compare(input, as: kind) {
          case .agree(let count):
            agreed += count
            finding = nil
          case .weRefuse(let reason):
            finding = Self.stricter.contains(reason) ? nil : "only we refuse: \(reason)"
          case .theyRefuse(let refusal, let message):
            finding = Self.excuse(refusal, message) == nil ? "only it refuses: \(refusal)" : nil
          case .differ(let difference):
            finding = difference
          }
          if let finding { Issue.record("\(finding), in \(kind): \(Text(input).debugText)") }
        }
      }
    }
    #expect(agreed > 50)
  }

  private static func compare(_ bytes: [UInt8], as kind: Reading.Kind) -> Comparison {
    let ours = Reading(bytes, as: kind)
    let theirs = OtherParser(
      bytes, isRequests: kind == .requests, isAnswerToHead: kind == .responses(answering: .head))
    for (index, one) in ours.messages.enumerated() {
      guard index < theirs.messages.count else { return theyStop(theirs, one) }
      let other = theirs.messages[index]
      switch (one.isComplete, other.isComplete) {
      case (true, false): return theyStop(theirs, one)
      case (false, true): return weStop(ours)
      case (false, false): return .agree(index)
      case (true, true):
        if let difference = difference(one, other) { return .differ(difference) }
      }
    }
    return theirs.messages.count > ours.messages.count ? weStop(ours) : .agree(ours.messages.count)
  }

  private static func weStop(_ ours: Reading) -> Comparison {
    ours.refusal.map(Comparison.weRefuse) ?? .differ("only we wait for more")
  }

  private static func theyStop(_ theirs: OtherParser, _ message: Message) -> Comparison {
    // It reads nothing behind a message that is the connection's last.
    if theirs.refusal == .closedConnection || theirs.isUpgraded {
      return .agree(theirs.messages.count)
    }
    return theirs.refusal.map { .theyRefuse($0, message) } ?? .differ("only it waits for more")
  }

  /// Of two complete messages.
  private static func difference(_ one: Message, _ other: OtherParser.Message) -> String? {
    if one.body != other.body { return "the bodies differ" }
    switch one.framing {
    case .chunked where !other.isChunked: return "only we read chunks"
    case .length(let length) where length > 0 && other.length != length: return "the lengths differ"
    default: break
    }
    // It takes Proxy-Connection for Connection, which is no standard.
    if one.fields.contains(where: { $0.known == .proxyConnection }) { return nil }
    return one.keepsAlive == other.keepsAlive ? nil : "only one keeps the connection"
  }
}

extension Text {
  fileprivate var debugText: String { String(describing: self).debugDescription }
}
