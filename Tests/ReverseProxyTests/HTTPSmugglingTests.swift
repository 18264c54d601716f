import FDHTTP
import FDNet
import Glibc
import ReverseProxy
import TestKit
import Testing

/// The published ways to make a proxy and a server disagree about where a message ends, as bytes
/// through the proxy.
@Suite(.everyBackend, .ledger, .proxyLedger) struct HTTPSmugglingTests {
  /// What is to be made a request of its own.
  private static let stolen = "GET /stolen HTTP/1.1\r\nHost: a\r\nX: "
  private static let chunked = "Transfer-Encoding: chunked\r\n"
  /// A body that ends at once as chunks, and has a request in it by its length.
  private static let endsAtOnce = "0\r\n\r\n\(stolen)"

  private static func post(_ fields: String, _ body: String) -> String {
    "POST / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\(body)"
  }

  private static func sized(_ fields: String) -> String {
    post("Content-Length: \(endsAtOnce.utf8.count)\r\n\(fields)", endsAtOnce)
  }

  private static func chunks(_ body: String) -> String { post(chunked, body + stolen) }

  private static func line(_ line: String) -> String { "\(line)\r\nHost: a\r\n\r\n\(stolen)" }

  /// By the name under which each is known; every one is refused.
  static let requests: [(String, String)] = [
    ("CL.TE", sized(chunked)),
    ("TE.CL", post("\(chunked)Content-Length: 4\r\n", "2e\r\n\(stolen)\r\n0\r\n\r\n")),
    ("TE.TE: other coding", sized("Transfer-Encoding: xchunked\r\n")),
    ("TE.TE: second field", post("\(chunked)Transfer-Encoding: x\r\n", endsAtOnce)),
    ("TE.TE: same twice", post(chunked + chunked, endsAtOnce)),
    ("TE.TE: identity behind", post("Transfer-Encoding: chunked, identity\r\n", endsAtOnce)),
    ("TE.TE: identity before", post("Transfer-Encoding: identity, chunked\r\n", endsAtOnce)),
    ("TE.TE: space before the colon", sized("Transfer-Encoding : chunked\r\n")),
    ("TE.TE: tab before the colon", sized("Transfer-Encoding\t: chunked\r\n")),
    ("TE.TE: space before the name", sized(" Transfer-Encoding: chunked\r\n")),
    ("TE.TE: vertical tab", sized("Transfer-Encoding: \u{B}chunked\r\n")),
    ("TE.TE: behind a bare LF", sized("X: x\nTransfer-Encoding: chunked\r\n")),
    ("TE.TE: behind a bare CR", sized("X: x\rTransfer-Encoding: chunked\r\n")),
    ("TE.TE: folded name", sized("Transfer-Encoding\r\n : chunked\r\n")),
    ("TE.TE: folded value", sized("Transfer-Encoding:\r\n chunked\r\n")),
    ("TE.TE: quoted", sized("Transfer-Encoding: \"chunked\"\r\n")),
    ("TE.TE: NUL", sized("Transfer-Encoding: chunked\0\r\n")),
    ("CL.CL: two values", post("Content-Length: 0\r\nContent-Length: 44\r\n", stolen)),
    ("CL.CL: the same twice", post("Content-Length: 0\r\nContent-Length: 0\r\n", stolen)),
    ("CL.CL: list", post("Content-Length: 0, 44\r\n", stolen)),
    ("CL: sign", post("Content-Length: +0\r\n", stolen)),
    ("CL: negative", post("Content-Length: -1\r\n", stolen)),
    ("CL: hexadecimal", post("Content-Length: 0x2c\r\n", stolen)),
    ("CL: blanks within", post("Content-Length: 4 4\r\n", stolen)),
    ("CL: empty", post("Content-Length: \r\n", stolen)),
    ("CL: overflow", post("Content-Length: 18446744073709551616\r\n", stolen)),
    ("CL: space before the colon", post("Content-Length : 44\r\n", stolen)),
    ("CL: folded", post("Content-Length:\r\n 44\r\n", stolen)),
    ("HTTP/1.0 with TE", "POST / HTTP/1.0\r\nHost: a\r\n\(chunked)\r\n\(endsAtOnce)"),
    ("chunk size: sign", chunks("+0\r\n\r\n")),
    ("chunk size: negative", chunks("-0\r\n\r\n")),
    ("chunk size: prefix", chunks("0x0\r\n\r\n")),
    ("chunk size: space before", chunks(" 0\r\n\r\n")),
    ("chunk size: space behind", chunks("0 \r\n\r\n")),
    ("chunk size: empty", chunks("\r\n\r\n")),
    ("chunk size: overflow", chunks("10000000000000000\r\n\r\n")),
    ("chunk size: underscore", chunks("0_0\r\n\r\n")),
    ("chunk size: bare LF", chunks("0\n\r\n")),
    ("chunk size: bare CR", chunks("0\r\r\n\r\n")),
    ("chunk extension: bare LF (TERM.EXT)", chunks("2;\nxx\r\n0\r\n\r\n")),
    ("chunk extension: bare LF behind a name (EXT.TERM)", chunks("2;a\nxx\r\n0\r\n\r\n")),
    ("chunk extension: bare CR", chunks("2;a\rX\r\nab\r\n0\r\n\r\n")),
    ("chunk extension: line end in quotes", chunks("2;a=\"\r\nab\"\r\n0\r\n\r\n")),
    ("chunk extension: NUL", chunks("2;a\0\r\nab\r\n0\r\n\r\n")),
    ("chunk data: longer (SPILL)", chunks("2\r\nabcd\r\n0\r\n\r\n")),
    ("chunk data: bare LF behind", chunks("2\r\nab\n0\r\n\r\n")),
    ("chunk data: bare CR behind", chunks("2\r\nab\rX0\r\n\r\n")),
    ("trailer: Content-Length", chunks("0\r\nContent-Length: 44\r\n\r\n")),
    ("trailer: Transfer-Encoding", chunks("0\r\n\(chunked)\r\n")),
    ("trailer: Host", chunks("0\r\nHost: b\r\n\r\n")),
    ("trailer: bare LF (TRAIL.TERM)", chunks("0\r\nX: y\n\n")),
    ("header: no name", get("/", ": x\r\n") + stolen),
    ("header: no colon", get("/", "X\r\n") + stolen),
    ("header: obs-fold", get("/", "X: a\r\n\tb\r\n") + stolen),
    ("header: NUL in a value", get("/", "X: a\0b\r\n") + stolen),
    ("header: NUL in a name", get("/", "X\0: b\r\n") + stolen),
    ("header: bare CR", get("/", "X: a\rb\r\n") + stolen),
    ("header: LF alone", "GET / HTTP/1.1\nHost: a\n\n\(stolen)"),
    ("header: LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n\(stolen)"),
    ("Host: twice", get("/", "Host: b\r\n") + stolen),
    ("Host: twice the same", get("/", "Host: a\r\n") + stolen),
    ("Host: with user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n\(stolen)"),
    ("Host: with path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n\(stolen)"),
    ("Host: list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n\(stolen)"),
    ("Host: with blank", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n\(stolen)"),
    ("Host: other than the absolute form", line("GET http://b/ HTTP/1.1")),
    ("absolute form: user", line("GET http://x@a/ HTTP/1.1")),
    ("absolute form: other scheme", line("GET ftp://a/ HTTP/1.1")),
    ("Connection: Content-Length", sized("Connection: Content-Length\r\n")),
    (
      "Connection: Transfer-Encoding",
      post("\(chunked)Connection: transfer-encoding\r\n", endsAtOnce)
    ),
    ("Connection: Host", get("/", "Connection: close, Host\r\n") + stolen),
    ("request line: two versions", line("GET / HTTP/1.1 HTTP/1.1")),
    ("request line: blank in the target", line("GET /a b HTTP/1.1")),
    ("request line: two blanks", line("GET  / HTTP/1.1")),
    ("request line: tab", line("GET\t/ HTTP/1.1")),
    ("request line: blank before", line(" GET / HTTP/1.1")),
    ("request line: blank behind", line("GET / HTTP/1.1 ")),
    ("request line: CR in the target", line("GET /\rX HTTP/1.1")),
    ("request line: LF in the target", line("GET /\nX: HTTP/1.1")),
    ("request line: NUL in the target", line("GET /\0 HTTP/1.1")),
    ("request line: no version (HTTP/0.9)", "GET /\r\n\(stolen)"),
    ("request line: small letters", line("GET / http/1.1")),
    ("request line: more digits", line("GET / HTTP/1.10")),
    ("request line: no slash", line("GET x HTTP/1.1")),
    ("request line: fragment", line("GET /#x HTTP/1.1")),
    ("request line: asterisk", line("GET * HTTP/1.1")),
    ("two empty lines before", "\r\n\r\n\(get())\(stolen)"),
    ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\(stolen)"),
    ("Expect: hidden", sized("Expect: y 100-continue\r\n")),
  ]

  @Test func `a request that two parsers could read differently is refused whole`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) {
      $0.pool.reuse = .always
    } _: { test in
      for (name, request) in Self.requests {
        let (answer, rest) = test.ask(request)
        #expect(answer.map { 400..<600 ~= $0.status } == true, "\(name): \(answer?.status ?? 0)")
        #expect(answer?.status != 502 && rest == "", "\(name)")
      }
      // The origin has no place for an answer to anything that was refused.
      #expect(test.ask(get("/last")).answer?.status == 200)
    }
    #expect(origin.requests.map(\.firstLine) == ["GET /last HTTP/1.1"])
    #expect(!origin.received.contains { $0.contains("\nGET /stolen") })
  }

  @Test func `the same in many pieces is refused as well`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) { test in
      for (name, request) in Self.requests.filter({
        $0.0.hasPrefix("TE.TE") || $0.0.hasPrefix("chunk")
      }) {
        let client = test.client()
        let bytes = Array(request.utf8)
        var offset = 0
        while offset < bytes.count,
          client.send(Array(bytes[offset..<min(offset + 23, bytes.count)]))
        {
          offset += 23
          sched_yield()
        }
        client.finish()
        #expect(client.takeAnswer().map { $0.status >= 400 } == true, "\(name)")
        #expect(client.takeAll() == [])
      }
    }
    #expect(origin.requests.isEmpty)
  }

  /// Bodies that hide a request, and are bodies to everybody.
  @Test(arguments: [
    ("CL.0 with GET", "GET", "Content-Length: 44\r\n"), ("CL.0", "POST", "Content-Length: 44\r\n"),
    ("TE.0", "OPTIONS", "Transfer-Encoding: chunked\r\n"),
    ("tab as blank", "POST", "Transfer-Encoding:\tchunked\t\r\n"),
    ("other letters", "POST", "tRANSFER-eNCODING: CHUNKED\r\n"),
    ("underscore", "POST", "Content-Length: 44\r\nTransfer_Encoding: chunked\r\n"),
  ]) func `a request within a body stays there`(
    _ name: String, _ method: String, _ fields: String
  ) async throws {
    let hidden = "GET /stolen HTTP/1.1\r\nHost: a\r\nX: 456789\r\n\r\n"
    #expect(hidden.utf8.count == 44)
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) {
      $0.pool.reuse = .always
    } _: { test in
      let client = test.client()
      let body =
        fields.lowercased().contains("content-length") ? hidden : "2c\r\n\(hidden)\r\n0\r\n\r\n"
      client.send("\(method) /1 HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\(body)")
      client.send(get("/2"))
      for _ in 0..<2 { #expect(client.takeAnswer()?.bodyText == "ok") }
      #expect(client.staysSilent(milliseconds: 10))
    }
    #expect(origin.requests.map { $0.firstLine.split(separator: " ")[1] } == ["/1", "/2"])
    #expect(origin.requests.first?.bodyText == hidden)
    // Behind a body that the method has no use for, a server may see another request.
    #expect(origin.links.count == (method == "POST" ? 1 : 2))
  }

  // MARK: Answers

  private static let extra = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"

  /// What an origin says to the first request, and to which method.
  static let answers: [(String, String, String)] = [
    ("another answer behind", "GET", ok + extra),
    (
      "another answer behind chunks", "GET",
      "HTTP/1.1 200 OK\r\n\(chunked)\r\n1\r\nx\r\n0\r\n\r\n\(extra)"
    ),
    ("HEAD with a body", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n\(extra)"),
    ("HEAD with chunks", "HEAD", "HTTP/1.1 200 OK\r\n\(chunked)\r\n2d\r\n\(extra)\r\n0\r\n\r\n"),
    ("204 with a body", "GET", "HTTP/1.1 204 No Content\r\n\r\n\(extra)"),
    ("204 with a length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 45\r\n\r\n\(extra)"),
    ("304 with a body", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 45\r\n\r\n\(extra)"),
    ("100 with a length", "GET", "HTTP/1.1 100 Continue\r\nContent-Length: 45\r\n\r\n\(extra)"),
    (
      "103 with a length", "GET",
      "HTTP/1.1 103 Early Hints\r\nContent-Length: 45\r\n\r\n\(ok)\(extra)"
    ),
    ("101 unasked", "GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\(extra)"),
    ("CL.TE", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\(chunked)\r\n0\r\n\r\n\(extra)"),
    ("CL.CL", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 45\r\n\r\n\(extra)"),
    ("CL list", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0, 45\r\n\r\n\(extra)"),
    ("TE.TE", "GET", "HTTP/1.1 200 OK\r\n\(chunked)\(chunked)\r\n0\r\n\r\n\(extra)"),
    ("TE other", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n\(extra)"),
    ("TE space", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n\(extra)"),
    ("TE in HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\n\(chunked)\r\n0\r\n\r\n\(extra)"),
    ("splitting by LF", "GET", "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 0\n\n\(extra)"),
    ("splitting by CR", "GET", "HTTP/1.1 200 OK\r\nX: a\rContent-Length: 0\r\r\(extra)"),
    ("obs-fold", "GET", "HTTP/1.1 200 OK\r\nX: a\r\n Content-Length: 45\r\n\r\n\(extra)"),
    ("NUL", "GET", "HTTP/1.1 200 OK\r\nX: a\0\r\nContent-Length: 45\r\n\r\n\(extra)"),
    ("chunk size", "GET", "HTTP/1.1 200 OK\r\n\(chunked)\r\n0x0\r\n\r\n\(extra)"),
    ("chunk extension", "GET", "HTTP/1.1 200 OK\r\n\(chunked)\r\n2;\nxx\r\n0\r\n\r\n\(extra)"),
    ("chunk end", "GET", "HTTP/1.1 200 OK\r\n\(chunked)\r\n1\r\nxy\r\n0\r\n\r\n\(extra)"),
    ("trailer", "GET", "HTTP/1.1 200 OK\r\n\(chunked)\r\n0\r\nContent-Length: 45\r\n\r\n\(extra)"),
    ("empty line before", "GET", "\r\n\(ok)\(extra)"),
    ("HTTP/0.9", "GET", "stolen\r\n\(extra)"),
    ("HTTP/2", "GET", "HTTP/2 200\r\n\r\n\(extra)"),
    (
      "Connection names the length", "GET",
      "HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 0\r\n\r\n\(extra)"
    ),
  ]

  @Test func `no request is answered with what belongs to another`() async throws {
    let origin = ScriptedOrigin { link in
      while let request = link.takeRequest() {
        let path = String(request.firstLine.split(separator: " ")[1].dropFirst())
        link.send(Int(path).map { Self.answers[$0].2 } ?? ok)
      }
    }
    try await withProxy(to: [origin]) {
      $0.pool.reuse = .always
      // An interim answer without another behind it.
      $0.timeouts.server = .milliseconds(500)
    } _: { test in
      for (number, (name, method, _)) in Self.answers.enumerated() {
        var client = test.client()
        client.send("\(method) /\(number) HTTP/1.1\r\nHost: a\r\n\r\n")
        var first = client.takeAnswer(to: method)
        while let status = first?.status, status < 200 { first = client.takeAnswer() }
        if !name.hasPrefix("100") { #expect(first?.bodyText.contains("stolen") != true, "\(name)") }
        #expect(client.ending != .timeout, "\(name)")
        client.send(get("/next"))
        var next = client.takeAnswer()
        if next == nil {
          // It was closed, so that nothing can be mistaken.
          client = test.client()
          client.send(get("/next"))
          next = client.takeAnswer()
        }
        #expect(next?.bodyText == "ok", "\(name)")
        #expect(client.staysSilent(milliseconds: 1), "\(name)")
      }
    }
    // No connection has served anybody after it had said too much. What follows a 100 is an answer.
    for link in origin.links {
      let odd = link.requests.dropLast().map(\.firstLine).filter { line in
        !line.contains("next")
          && !(line.contains("/\(Self.answers.firstIndex { $0.0.hasPrefix("100") } ?? 0) "))
      }
      #expect(odd.isEmpty)
    }
  }
}
