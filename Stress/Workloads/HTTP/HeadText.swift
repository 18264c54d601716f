/// Heads of a given length, with fields as browsers and servers send them.
enum HeadText {
  static func request(fields: Int, bytes: Int) -> [UInt8] {
    let lines = ["GET /plaintext HTTP/1.1", "Host: a.b"] + known(requestFields, fields)
    return filled(lines, fields > 0 ? "Cookie" : nil, to: bytes)
  }

  static func response(fields: Int, bytes: Int) -> [UInt8] {
    let lines = ["HTTP/1.1 200 OK", "Content-Length: 13"] + known(responseFields, fields)
    return filled(lines, "Set-Cookie", to: bytes)
  }

  private static let requestFields = [
    "User-Agent: curl/8.5.0", "Accept: */*", "Accept-Encoding: gzip, br",
    "Accept-Language: en-GB,en;q=0.7", "Connection: keep-alive", "Cache-Control: no-cache",
    "Referer: https://a.example/start", "X-Forwarded-For: 192.0.2.7", "DNT: 1",
  ]

  private static let responseFields = [
    "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Content-Type: text/plain", "Server: origin",
  ]

  /// So many of them, and then some that nobody knows.
  private static func known(_ fields: [String], _ count: Int) -> [String] {
    (0..<count).map { index in
      index < fields.count ? fields[index] : "X-Field-\(index): value of field \(index)"
    }
  }

  /// The lines, and if there is room for it a field that makes them that long.
  private static func filled(_ lines: [String], _ last: String?, to bytes: Int) -> [UInt8] {
    let text = lines.map { $0 + "\r\n" }.joined()
    guard let last else {
      // The path is what is left to be longer.
      let missing = bytes - text.utf8.count - 2
      precondition(missing >= 0, "a head of \(bytes) bytes is shorter than its lines")
      let path = "/plaintext" + String(repeating: "x", count: missing)
      return Array((text.replacing("/plaintext", with: path) + "\r\n").utf8)
    }
    let missing = bytes - text.utf8.count - last.utf8.count - 6
    precondition(missing >= 0, "a head of \(bytes) bytes is shorter than its fields")
    let value = String(repeating: "v", count: missing)
    return Array((text + last + ": " + value + "\r\n\r\n").utf8)
  }
}
