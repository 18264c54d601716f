import FDNet
import Testing

@testable import ReverseProxy

@Suite("Lines of the access log")
struct AccessLogFormatTests {
  /// 22 November 2026, 01:08:31 UTC.
  private static let second = 1_795_309_711

  private func line(
    _ format: AccessLogConfiguration.Format, second: Int = second,
    _ fill: (inout AccessRecord) -> Void
  ) -> String {
    var record = AccessRecord(client: SocketAddress(ipv4: (192, 0, 2, 1), port: 4711))
    fill(&record)
    var line = LogLine()
    switch format {
    case .combined: line.putCombined(record, second: second)
    case .json: line.putJSON(record, second: second)
    }
    return String(decoding: line.bytes, as: UTF8.self)
  }

  /// A line with the same bytes in every field that comes from outside.
  private func line(_ format: AccessLogConfiguration.Format, everywhere bytes: [UInt8]) -> String {
    var record = AccessRecord(client: .ipv6Loopback(port: 1))
    record.method = bytes.span.bytes
    record.target = bytes.span.bytes
    record.version = bytes.span.bytes
    record.host = bytes.span.bytes
    record.referer = bytes.span.bytes
    record.userAgent = bytes.span.bytes
    record.backend = String(decoding: bytes, as: UTF8.self)
    var line = LogLine()
    switch format {
    case .combined: line.putCombined(record, second: Self.second)
    case .json: line.putJSON(record, second: Self.second)
    }
    return String(decoding: line.bytes, as: UTF8.self)
  }

  private func whole(_ format: AccessLogConfiguration.Format) -> String {
    let (method, target, version) = (Array("GET".utf8), Array("/a?b".utf8), Array("HTTP/1.1".utf8))
    let host = Array("example.org".utf8)
    let (referer, userAgent) = (Array("http://x/".utf8), Array("curl/8".utf8))
    var record = AccessRecord(client: SocketAddress(ipv4: (192, 0, 2, 1), port: 4711))
    record.method = method.span.bytes
    record.target = target.span.bytes
    record.version = version.span.bytes
    record.host = host.span.bytes
    record.referer = referer.span.bytes
    record.userAgent = userAgent.span.bytes
    record.status = 200
    record.bytesSent = 18_446_744_073_709_551_615
    record.durationNanoseconds = 12_345_678
    record.backend = "10.0.0.2:80"
    record.connection = .takenOver
    record.retries = 2
    var line = LogLine()
    switch format {
    case .combined: line.putCombined(record, second: Self.second)
    case .json: line.putJSON(record, second: Self.second)
    }
    return String(decoding: line.bytes, as: UTF8.self)
  }

  @Test("the combined format is Apache's, with backend and milliseconds after it")
  func combined() {
    #expect(
      whole(.combined)
        == "192.0.2.1 - - [22/Nov/2026:01:08:31 +0000] \"GET /a?b HTTP/1.1\" 200 "
        + "18446744073709551615 \"http://x/\" \"curl/8\" \"10.0.0.2:80\" 12.345\n")
    #expect(
      line(.combined) { _ in }
        == "192.0.2.1 - - [22/Nov/2026:01:08:31 +0000] \"-\" 000 0 \"-\" \"-\" \"-\" 0.000\n")
  }

  @Test("the JSON format is an object with everything")
  func json() {
    #expect(
      whole(.json)
        == #"{"time":"2026-11-22T01:08:31Z","client":"192.0.2.1","method":"GET","#
        + #""host":"example.org","target":"/a?b","version":"HTTP/1.1","status":200,"#
        + #""bytes":18446744073709551615,"milliseconds":12.345,"referer":"http://x/","#
        + #""userAgent":"curl/8","backend":"10.0.0.2:80","connection":"takenOver","retries":2}"#
        + "\n")
    let empty = FlatJSON.parse(String(line(.json) { _ in }.dropLast()))
    #expect(empty?.count == 14)
    #expect(empty?["status"] == "0" && empty?["connection"] == "none")
  }

  @Test("every kind of client has its name")
  func clients() throws {
    for (text, name) in [
      ("[2001:db8::1]:1", "2001:db8::1"), ("[::ffff:10.0.0.1]:1", "10.0.0.1"),
      ("unix:/run/x y\"", "unix:"), ("255.255.255.255:1", "255.255.255.255"),
    ] {
      let client = try SocketAddress(parsing: text)
      #expect(line(.combined) { $0.client = client }.hasPrefix(name + " - - ["))
    }
  }

  @Test("no byte from outside makes a line, a quote or a field of its own")
  func escapes() throws {
    for byte in UInt8.min...UInt8.max {
      let hostile = Array("a".utf8) + [byte] + Array("b".utf8)
      let isPlain = (0x20...0x7E).contains(byte) && byte != 0x22 && byte != 0x5C
      let combined = line(.combined, everywhere: hostile)
      #expect(combined.utf8.allSatisfy { (0x20...0x7E).contains($0) || $0 == 10 })
      #expect(combined.utf8.count(where: { $0 == 10 }) == 1)
      #expect(combined.utf8.count(where: { $0 == 0x22 }) == 8)
      let hexadecimal = (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
      let written = isPlain ? String(UnicodeScalar(byte)) : "\\x" + hexadecimal
      #expect(combined.contains("\"a\(written)b a\(written)b a\(written)b\""))

      let json = line(.json, everywhere: hostile)
      #expect(json.utf8.allSatisfy { (0x20...0x7E).contains($0) || $0 == 10 })
      let object = try #require(FlatJSON.parse(String(json.dropLast())), "byte \(byte)")
      // The byte's number is the character's.
      for field in ["method", "host", "target", "version", "referer", "userAgent"] {
        #expect(object[field] == "a\(UnicodeScalar(byte))b")
      }
    }
    let injection = Array("/\" 200 0\r\n10.0.0.1 - - \"GET\u{7f}\u{e9}\\".utf8)
    #expect(
      line(.combined, everywhere: injection)
        .contains(#""/\x22 200 0\x0D\x0A10.0.0.1 - - \x22GET\x7F\xC3\xA9\x5C""#))
  }

  @Test("a field of any length is cut, and the line has room for all of them")
  func cutsFields() throws {
    let long = [UInt8](repeating: 0, count: 100_000)
    for format in AccessLogConfiguration.Format.allCases {
      let line = line(format, everywhere: long)
      #expect(line.utf8.count < LogRing.capacity)
      let escape = format == .json ? "\\u0000" : "\\x00"
      let cut = String(repeating: escape, count: LogLine.longestField) + "...\""
      #expect(line.contains(cut))
    }
    let fitting = [UInt8](repeating: 0x61, count: LogLine.longestField)
    #expect(!line(.combined, everywhere: fitting).contains("..."))
  }

  @Test("the time is made anew for each second, in UTC")
  func time() {
    for (second, text) in [
      (0, "[01/Jan/1970:00:00:00 +0000]"), (951_827_696, "[29/Feb/2000:12:34:56 +0000]"),
      (4_102_444_799, "[31/Dec/2099:23:59:59 +0000]"),
    ] {
      #expect(line(.combined, second: second) { _ in }.contains(text))
    }
    var line = LogLine()
    line.putTime(1, "%s")
    line.putTime(1, "%s")
    line.putTime(2, "%s")
    #expect(String(decoding: line.bytes, as: UTF8.self) == "112")
  }
}
