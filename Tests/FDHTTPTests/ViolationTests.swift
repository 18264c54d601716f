import FDHTTP
import HTTPProperties
import Testing

@Suite("What is refused")
struct ViolationTests {
  /// Texts that break one rule each: of requests unless they begin with `HTTP/`, of a chunked body
  /// if they begin with a digit or `x`.
  static let samples: [HTTPViolation.Reason: [String]] = [
    .requestLineTooLong: [
      request("GET /" + long(8192) + " HTTP/1.1"), long(9000), "GET /" + long(8192),
    ],
    .headTooLong: [
      request("GET / HTTP/1.1", "A: " + long(32768)), "HTTP/1.1 200 " + long(8192) + "\r\n\r\n",
      "0\r\nA: " + long(32768), "0\r\nA: " + long(32768) + "\r\n\r\n",
    ],
    .tooManyFields: [
      "GET / HTTP/1.1\r\n" + many(101), "0\r\n" + many(101), "HTTP/1.1 200 OK\r\n" + many(101),
      request("GET / HTTP/1.1", "Connection: " + (0...100).map { "x\($0)" }.joined(separator: ",")),
    ],
    .malformedMethod: [
      " GET / HTTP/1.1\r\n", "G(T / HTTP/1.1\r\n", "GET\t/ HTTP/1.1\r\n", "\r\n\r\nGET", "GET\r\n",
      "\u{16}\u{3}\u{1}", "G\u{e9}T / HTTP/1.1\r\n", ": a\r\n",
    ],
    .malformedTarget: [
      "GET  / HTTP/1.1\r\n", "GET /\u{e4} HTTP/1.1\r\n", "GET /\u{1} HTTP/1.1\r\n", "GET /\r\n",
      "GET \r\n", "GET /\tHTTP/1.1\r\n", request("GET /#a HTTP/1.1"), "GET /\u{7f} HTTP/1.1\r\n",
    ],
    .targetForm: [
      request("GET a HTTP/1.1"), request("GET * HTTP/1.1"), request("OPTIONS ** HTTP/1.1"),
      request("GET ftp://a/ HTTP/1.1"), request("GET http:///a HTTP/1.1"),
      request("GET http:// HTTP/1.1"), request("GET http://b@a/ HTTP/1.1"),
      request("CONNECT / HTTP/1.1"), request("CONNECT http://a/ HTTP/1.1"),
      request("CONNECT a HTTP/1.1"), request("CONNECT a: HTTP/1.1"),
      request("CONNECT a:0 HTTP/1.1"), request("CONNECT a:65536 HTTP/1.1"),
      request("CONNECT a:000080 HTTP/1.1"), request("CONNECT :80 HTTP/1.1"),
      request("CONNECT * HTTP/1.1"), request("GET a:80 HTTP/1.1"), request("GET ?a HTTP/1.1"),
    ],
    .malformedVersion: [
      "GET / HTTP/1.1 \r\n", "GET / HTTP/11\r\n", "GET / http/1.1\r\n", "GET / HTTP /1.1\r\n",
      "GET / a HTTP/1.1\r\n", "GET / HTTP/1.10\r\n", "GET /  HTTP/1.1\r\n",
      "HTTP/x.1 200 OK\r\n",
    ],
    .unsupportedVersion: [
      "GET / HTTP/2.0\r\n", "GET / HTTP/0.9\r\n", "GET / HTTP/1.2\r\n", "HTTP/2.0 200 OK\r\n\r\n",
    ],
    .malformedStatus: [
      "HTTP/1.1 099 OK\r\n", "HTTP/1.1 600 OK\r\n", "HTTP/1.1 2x0 OK\r\n", "HTTP/1.1  200 OK\r\n",
      "HTTP/1.1 20 OK\r\n", "HTTP/1.1 2000 OK\r\n", "HTTP/1.1\t200 OK\r\n", "HTTP/1.1x200 OK\r\n",
      "HTTP/1.1 -20 OK\r\n",
      "HTTP/1.1 200\tOK\r\n", "HTTP/1.1 200 O\0K\r\n",
    ],
    .bareCarriageReturn: [
      "\rGET", "GET / HTTP/1.1\rHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\rB: b\r\n",
      "GET / HTTP/1.1\r\nHost\r: a\r\n", request("GET / HTTP/1.1\r"), "0\rx", "5;a\rx", "G\rT",
      "HTTP/1.1 200 OK\rA: b\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\rx", "0\r\nA: b\r\rB: c\r\n\r\n",
    ],
    .bareLineFeed: [
      "\nGET / HTTP/1.1\r\n", "GET / HTTP/1.1\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\n\n", "GET / HTTP/1.1\r\nA\n: b\r\n", "5\nhello", "5;a\nhello",
      "HTTP/1.1 200 OK\n", "HTTP/1.1 200\n\n\n", "0\r\nA: b\n\n", "0\r\n\n",
    ],
    .foldedLine: [
      "GET / HTTP/1.1\r\n Host: a\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n",
      "0\r\nA: b\r\n c\r\n",
      "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n",
    ],
    .emptyFieldName: ["GET / HTTP/1.1\r\n: a\r\n", "0\r\n:\r\n\r\n"],
    .malformedFieldName: [
      "GET / HTTP/1.1\r\nHost : a\r\n", "GET / HTTP/1.1\r\nHost\t: a\r\n",
      "GET / HTTP/1.1\r\nA B: c\r\n", "GET / HTTP/1.1\r\nHost\r\n", "GET / HTTP/1.1\r\n\0A: b\r\n",
      "GET / HTTP/1.1\r\n\u{b}A: b\r\n", "GET / HTTP/1.1\r\nA\u{e4}: b\r\n", "0\r\nA : b\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n", "GET / HTTP/1.1\r\n(A: b\r\n",
    ],
    .malformedFieldValue: [
      "GET / HTTP/1.1\r\nHost: a\0\r\n", "GET / HTTP/1.1\r\nHost: a\u{7f}\r\n",
      "GET / HTTP/1.1\r\nA: \u{b}b\r\n", "0\r\nA: \u{1b}[2J\r\n",
    ],
    .missingHost: [
      request("GET / HTTP/1.1", host: nil), request("GET http://a/ HTTP/1.1", host: nil),
    ],
    .repeatedHost: [request("GET / HTTP/1.1", "host: a"), request("GET / HTTP/1.0", "Host: a")],
    .malformedHost: [
      "a b", "a/b", "a@b", "a,b:c", "a:b", "a:80:80", ":80", "[::1", "::1", "[]", "[g]", "[::1]a",
      "a#b", "a?b", "\u{e4}", "a\\b", "http://a", "\"a\"", "<a>", "[::1]:8a", "[v1.a]",
      "[fe80::1%25e]",
    ].map { request("GET / HTTP/1.1", host: $0) },
    .contradictingHost: [
      request("GET http://b/ HTTP/1.1"), request("GET http://a:80/ HTTP/1.1"),
      request("GET http://a/ HTTP/1.1", host: ""), request("CONNECT b:443 HTTP/1.1"),
    ],
    .repeatedContentLength: [
      request("POST / HTTP/1.1", "Content-Length: 5", "content-length: 5"),
      request("POST / HTTP/1.1", "Content-Length: 5, 5"),
      request("POST / HTTP/1.1", "Content-Length: ,"),
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    ],
    .malformedContentLength: [
      "", "+5", "-5", "0x5", "5a", "1 2", "1_0", "5.0", "5;", "\"5\"", "1e3",
      "1000000000000000000", "18446744073709551616", "18446744073709551621",
      "0000000000000000005", String(repeating: "9", count: 1000),
    ].map { request("POST / HTTP/1.1", "Content-Length: \($0)") } + [
      "HTTP/1.1 200 OK\r\nContent-Length: 5a\r\n\r\n"
    ],
    .lengthAndEncoding: [
      request("POST / HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked"),
      request("POST / HTTP/1.1", "Transfer-Encoding: chunked", "Content-Length: 0"),
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    .repeatedTransferEncoding: [
      request("POST / HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
      request("POST / HTTP/1.1", "Transfer-Encoding: gzip, chunked"),
      request("POST / HTTP/1.1", "Transfer-Encoding: chunked,"),
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
    ],
    .unsupportedTransferEncoding: [
      "", "identity", "gzip", "xchunked", "chunke", "chunkedx", "\"chunked\"", "chunked;a=b",
      "chunked chunked", "'chunked'", "chun ked",
    ].map { request("POST / HTTP/1.1", "Transfer-Encoding: \($0)") },
    .encodingInHTTP10: [
      request("POST / HTTP/1.0", "Transfer-Encoding: chunked"),
      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    .encodingNotAllowed: [
      "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 101 Switching\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    .connectionNamesEssential: [
      request("GET / HTTP/1.1", "Connection: close, HOST"),
      request("POST / HTTP/1.1", "Content-Length: 1", "Connection: content-length"),
      request("POST / HTTP/1.1", "Connection: transfer-encoding", "Transfer-Encoding: chunked"),
      request("POST / HTTP/1.1", "Connection: connection"),
      "HTTP/1.1 200 OK\r\nConnection: Content-Length\r\nContent-Length: 1\r\n\r\n",
    ],
    .malformedChunkSize: [
      "x5\r\nhello", "0x5\r\nhello", "5 \r\nhello", "5\t\r\nhello", "5 ;a=b\r\nhello",
      "5h\r\nhello",
      "5,\r\nhello", "5\0\r\nhello", "1000000000000000\r\n", "1fffffffffffffff\r\n",
      "0000000000000005\r\nhello", "5\r\nhello\r\n\r\n", "5\r\nhello\r\n 0\r\n",
      "5\r\nhello\r\n-0\r\n",
    ],
    .malformedChunkExtension: [
      "5;\r\nhello", "5;=b\r\nhello", "5;a=\r\nhello", "5;a=\"b\r\nhello", "5;a=\"b\\\"\r\nhello",
      "5;a=\"b\"c\r\nhello", "5;a;\r\nhello", "5;a b\r\nhello", "5;a \r\nhello", "5;a=b \r\nhello",
      "5;a=b c\r\nhello", "5;a==b\r\n", "5;a\0\r\nhello", "5;a=\"\u{1}\"\r\n", "5;\r;a\r\nhello",
      "5;;a\r\nhello", "5;a=;b\r\nhello", "5;\"a\"\r\nhello",
    ],
    .chunkExtensionTooLong: ["5;" + long(4097), String(repeating: "1;a=bc\r\nx\r\n", count: 1025)],
    .missingChunkEnd: [
      "5\r\nhello!\r\n", "5\r\nhello\n0\r\n", "5\r\nhello0\r\n", "5\r\nhello\rx",
      "5\r\nhello\r\r\n",
      "5\r\nhell\r\n0\r\n",
    ],
    .essentialTrailer: [
      "Content-Length: 5", "Transfer-Encoding: chunked", "Host: a", "Connection: close",
      "Expect: 100-continue",
    ].map { "0\r\nA: b\r\n\($0)\r\n\r\n" },
    .unsupportedExpectation: [
      request("POST / HTTP/1.1", "Expect: 101-continue"), request("POST / HTTP/1.1", "Expect:"),
      request("POST / HTTP/1.1", "Expect: 100-continue, x"),
    ],
  ]

  private static func long(_ count: Int) -> String { String(repeating: "a", count: count) }

  private static func many(_ count: Int) -> String {
    "Host: a\r\n" + (1..<count).map { "F\($0): x\r\n" }.joined() + "\r\n"
  }

  /// What the sample is, by how it begins.
  private static func read(_ sample: String, cuts: [Int]) -> Reading {
    let kind: Reading.Kind =
      if sample.hasPrefix("HTTP/") { .responses(answering: .get) } else {
        sample.first!.isHexDigit && sample.first!.isNumber || sample.hasPrefix("x")
          ? .body(.chunked) : .requests
      }
    return Reading(Array(sample.utf8), as: kind, cuts: cuts)
  }

  @Test(
    "has a reason, which is the same for every cut and stays, whatever follows",
    arguments: HTTPViolation.Reason.allCases)
  func reasons(_ reason: HTTPViolation.Reason) throws {
    for sample in try #require(Self.samples[reason], "no sample of \(reason)") {
      let count = sample.utf8.count
      let whole = Self.read(sample, cuts: [])
      #expect(whole.refusal == reason, "\(sample.debugDescription)")
      let cuts = count < 200 ? Array(0...count) : [0, 1, count / 2, count - 2, count - 1]
      for cut in cuts { #expect(Self.read(sample, cuts: [cut]) == whole, "cut at \(cut)") }
      #expect(Self.read(sample + "GET / HTTP/1.1\r\n\r\n", cuts: []) == whole)
    }
  }

  @Test(
    "is answered with the status of its reason",
    arguments: [
      (request("GET /" + long(8192) + " HTTP/1.1"), 414), (request("A B HTTP/1.1"), 400),
      (request("GET / HTTP/1.1", "A: " + long(32768)), 431),
      ("GET / HTTP/1.1\r\n" + many(101), 431),
      ("GET / HTTP/2.0\r\n", 505), (request("POST / HTTP/1.1", "Transfer-Encoding: gzip"), 501),
      (request("POST / HTTP/1.1", "Expect: x"), 417),
    ])
  func statuses(sample: String, status: Int) {
    let bytes = Array(sample.utf8)
    #expect {
      try HTTPHeadReader().readRequest(bytes.span.bytes)
    } throws: { error in
      (error as? HTTPViolation)?.status == HTTPStatus(rawValue: UInt16(status))
    }
  }
}
