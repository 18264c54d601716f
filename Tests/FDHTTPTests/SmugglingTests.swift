import FDHTTP
import HTTPProperties
import Testing

@Suite("A published way to smuggle")
struct SmugglingTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var text: String
    /// Nil: it is read in the one way that RFC 9112 has, as this many messages.
    var reason: HTTPViolation.Reason?
    var messages = 1

    var testDescription: String { name }
  }

  private static let inner = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
  private static let smuggled = "0\r\n\r\n" + inner

  private static func refused(
    _ name: String, _ reason: HTTPViolation.Reason, _ fields: String...
  ) -> Case {
    let lines = fields.map { $0 + "\r\n" }.joined()
    return Case(
      name: name, text: "POST / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n\(smuggled)", reason: reason)
  }

  static let lengths: [Case] = [
    refused("CL.TE", .lengthAndEncoding, "Content-Length: 5", "Transfer-Encoding: chunked"),
    refused("TE.CL", .lengthAndEncoding, "Transfer-Encoding: chunked", "Content-Length: 5"),
    refused("CL.CL, different", .repeatedContentLength, "Content-Length: 0", "Content-Length: 5"),
    refused("CL.CL, alike", .repeatedContentLength, "Content-Length: 5", "Content-Length: 5"),
    refused("CL in a list", .repeatedContentLength, "Content-Length: 5, 0"),
    refused("CL with a plus", .malformedContentLength, "Content-Length: +5"),
    refused("CL with a minus", .malformedContentLength, "Content-Length: -5"),
    refused("CL in hexadecimal", .malformedContentLength, "Content-Length: 0x5"),
    refused("CL with a space inside", .malformedContentLength, "Content-Length: 0 5"),
    refused("CL with an underscore", .malformedContentLength, "Content-Length: 5_0"),
    refused("CL that wraps to 5", .malformedContentLength, "Content-Length: 18446744073709551621"),
    refused("CL behind a vertical tab", .malformedFieldValue, "Content-Length: \u{b}5"),
    refused("CL with a NUL", .malformedFieldValue, "Content-Length: 5\0"),
    refused("CL that is folded", .malformedContentLength, "Content-Length:\r\n 5"),
    refused("CL that goes on in a fold", .foldedLine, "Content-Length: 5\r\n 0"),
    refused("CL with white space before the colon", .malformedFieldName, "Content-Length : 5"),
    refused(
      "CL.0: Connection takes CL away", .connectionNamesEssential, "Content-Length: 38",
      "Connection: keep-alive, content-length"),
    refused(
      "CL with an underscore in its name is another field", .malformedMethod,
      "Content_Length: 5"),
    Case(
      name: "CL with leading zeros is decimal",
      text: request("POST / HTTP/1.1", "Content-Length: 010", body: "0123456789"), reason: nil),
    Case(
      name: "CL.0: a body that looks like a request is a body",
      text: request("GET / HTTP/1.1", "Content-Length: \(inner.utf8.count)", body: inner),
      reason: nil),
  ]

  static let encodings: [Case] = [
    refused("xchunked", .unsupportedTransferEncoding, "Transfer-Encoding: xchunked"),
    refused("a space before the colon", .malformedFieldName, "Transfer-Encoding : chunked"),
    refused("a tab before the colon", .malformedFieldName, "Transfer-Encoding\t: chunked"),
    refused("a vertical tab", .malformedFieldValue, "Transfer-Encoding: \u{b}chunked"),
    refused("a form feed", .malformedFieldValue, "Transfer-Encoding: \u{c}chunked"),
    refused("a NUL", .malformedFieldValue, "Transfer-Encoding: chunked\0"),
    refused("an obs-text space", .unsupportedTransferEncoding, "Transfer-Encoding: chunked\u{a0}"),
    refused("a fold behind", .foldedLine, "Transfer-Encoding: chunked\r\n\tx"),
    refused("a fold before", .unsupportedTransferEncoding, "Transfer-Encoding:\r\n chunked"),
    refused("quotes", .unsupportedTransferEncoding, "Transfer-Encoding: \"chunked\""),
    refused("apostrophes", .unsupportedTransferEncoding, "Transfer-Encoding: 'chunked'"),
    refused(
      "chunked twice", .repeatedTransferEncoding, "Transfer-Encoding: chunked",
      "Transfer-Encoding: chunked"),
    refused(
      "chunked and another", .repeatedTransferEncoding, "Transfer-Encoding: chunked",
      "Transfer-encoding: cow"),
    refused(
      "another and chunked", .unsupportedTransferEncoding, "Transfer-Encoding: x",
      "Transfer-Encoding: chunked"),
    refused(
      "a list with identity", .repeatedTransferEncoding, "Transfer-Encoding: identity, chunked"),
    refused("a list that ends", .repeatedTransferEncoding, "Transfer-Encoding: chunked,"),
    refused("a parameter", .unsupportedTransferEncoding, "Transfer-Encoding: chunked;q=1"),
    refused("identity", .unsupportedTransferEncoding, "Transfer-Encoding: identity"),
    refused("nothing", .unsupportedTransferEncoding, "Transfer-Encoding:"),
    refused("a line feed in the name", .bareLineFeed, "Transfer-Encoding\n : chunked"),
    refused("a line feed before the name", .bareLineFeed, "X: y\nTransfer-Encoding: chunked"),
    refused("a return before the name", .bareCarriageReturn, "X: y\rTransfer-Encoding: chunked"),
    refused("a space before the name", .foldedLine, " Transfer-Encoding: chunked"),
    refused("a NUL before the name", .malformedFieldName, "\0Transfer-Encoding: chunked"),
    refused("a brace behind the name", .malformedFieldName, "Transfer-Encoding}: chunked"),
    refused(
      "Connection takes TE away", .connectionNamesEssential, "Connection: transfer-encoding",
      "Transfer-Encoding: chunked"),
    Case(
      name: "TE in HTTP/1.0",
      text: request("POST / HTTP/1.0", "Transfer-Encoding: chunked") + smuggled,
      reason: .encodingInHTTP10),
    Case(
      name: "a tab behind the colon is white space",
      text: request("POST / HTTP/1.1", "Transfer-Encoding:\tchunked\t") + smuggled, reason: nil,
      messages: 2),
    Case(
      name: "upper case is chunked",
      text: request("POST / HTTP/1.1", "tRANSFER-eNCODING:CHUNKED") + smuggled, reason: nil,
      messages: 2),
    Case(
      name: "an underscore in the name makes another field, and the body is the next request",
      text: request("POST / HTTP/1.1", "Transfer_Encoding: chunked") + smuggled,
      reason: .malformedMethod),
  ]

  static let chunks: [Case] = [
    ("0x before the size", "0x5\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    ("a space behind the size", "5 \r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    ("a space before the size", " 5\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    ("a negative size", "-5\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    ("a size with a plus", "+5\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    ("a size with an underscore", "0_5\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    ("a size that wraps to 5", "10000000000000005\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    ("no size", "\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    ("a NUL behind the size", "5\0\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    ("a line feed behind the size", "5\nhello\r\n0\r\n\r\n", .bareLineFeed),
    ("a line feed in an extension (TERM.EXT)", "5;\nhello\r\n0\r\n\r\n", .bareLineFeed),
    ("a line feed behind an extension (EXT.TERM)", "2;\nxx\r\n4c\r\n0\r\n\r\n", .bareLineFeed),
    ("a return in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n", .bareCarriageReturn),
    ("a line's end in a quoted value", "5;a=\"\r\nhello\r\n0\r\n\r\n\"", .malformedChunkExtension),
    ("a line's end behind a backslash", "5;a=\"\\\r\nhello\r\n0\r\n\r\n", .malformedChunkExtension),
    ("junk behind the data (SPILL.TERM)", "5\r\nhelloXX0\r\n\r\n", .missingChunkEnd),
    ("a line feed behind the data (ONE.TWO)", "5\r\nhello\n0\r\n\r\n", .missingChunkEnd),
    ("nothing behind the data (ZERO.TWO)", "5\r\nhello0\r\n\r\n", .missingChunkEnd),
    ("a return and junk behind the data", "5\r\nhello\rX0\r\n\r\n", .missingChunkEnd),
    ("a line feed behind the last chunk", "0\r\n\nGET / HTTP/1.1\r\n", .bareLineFeed),
    ("a request line for a trailer", "0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .malformedFieldName),
    ("Content-Length for a trailer", "0\r\nContent-Length: 5\r\n\r\nhello", .essentialTrailer),
    ("Host for a trailer", "0\r\nHost: a\r\n\r\n", .essentialTrailer),
    ("a fold in a trailer", "0\r\nA: b\r\n c\r\n\r\n", .foldedLine),
  ].map { name, body, reason in
    Case(
      name: name, text: request("POST / HTTP/1.1", "Transfer-Encoding: chunked", body: body),
      reason: reason)
  }

  static let lines: [Case] = [
    ("a line feed ends the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", .bareLineFeed),
    ("a return ends the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n", .bareCarriageReturn),
    ("a return and return end a line", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", .bareCarriageReturn),
    (
      "a second request in the target", "GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n",
      .malformedVersion
    ),
    ("a tab in the request line", "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", .malformedTarget),
    ("a space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", .foldedLine),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", .repeatedHost),
    ("a host that is folded", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", .foldedLine),
    ("another host in the target", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", .contradictingHost),
    ("a user in the host", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", .malformedHost),
    ("HTTP/0.9", "GET /\r\n", .malformedTarget),
    ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .unsupportedVersion),
    ("a field without a colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", .malformedFieldName),
  ].map { Case(name: $0, text: $1, reason: $2) }

  @Test(
    "is refused, or read in the one way of RFC 9112, wherever it is cut",
    arguments: [lengths, encodings, chunks, lines].joined())
  func verdict(_ smuggling: Case) {
    let bytes = Array(smuggling.text.utf8)
    let whole = Reading(bytes, as: .requests)
    #expect(whole.refusal == smuggling.reason)
    if smuggling.reason == nil {
      #expect(whole.messages.count == smuggling.messages)
      #expect(whole.messages.allSatisfy { $0.isComplete })
    }
    for cut in 0...bytes.count { #expect(Reading(bytes, as: .requests, cuts: [cut]) == whole) }
  }

  @Test("a response into two is refused, or is one response")
  func responseSplitting() throws {
    let second = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    for (text, reason) in [
      ("HTTP/1.1 200 OK\r\nLocation: /\n\n" + second, HTTPViolation.Reason.bareLineFeed),
      ("HTTP/1.1 200 OK\r\nLocation: /\r\r" + second, .bareCarriageReturn),
      ("HTTP/1.1 200 OK\n" + second, .bareLineFeed),
      (
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n", .repeatedContentLength
      ),
      (
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
        .lengthAndEncoding
      ),
      ("HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\n", .unsupportedTransferEncoding),
      ("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n" + second, .encodingNotAllowed),
    ] {
      #expect(responses(text).refusal == reason, "\(text.debugDescription)")
    }
    let head = responses("HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + second, to: .head)
    #expect(head.messages.count == 2 && head.messages.allSatisfy { $0.body.isEmpty })
  }
}
