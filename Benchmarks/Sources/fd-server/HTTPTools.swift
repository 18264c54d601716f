import FDHTTP
import Glibc

/// What the clients of one loop share: what reads their heads, and where their answers are put
/// together. Used on the loop's thread, never across a wait.
final class HTTPTools: @unchecked Sendable {
  let reader = HTTPHeadReader()
  /// What the bytes at hand are answered with.
  @exclusivity(unchecked) private(set) var output: [UInt8] = []
  /// The head of an answer but for its last lines, put into words once a second.
  @exclusivity(unchecked) private var head: [UInt8] = []
  @exclusivity(unchecked) private var second: time_t = -1

  private static let end = Array("\r\n".utf8)
  private static let lastEnd = Array("Connection: close\r\n\r\n".utf8)
  private static let body = Array("Hello, World!".utf8)

  /// Nothing has been answered yet.
  func begin() {
    output.removeAll(keepingCapacity: true)
    let now = time(nil)
    guard now != second else { return }
    second = now
    head = Array(
      "HTTP/1.1 200 OK\r\n\(Self.date(now))Content-Type: text/plain\r\nContent-Length: 13\r\n".utf8)
  }

  /// Answers a request.
  func greet(isLast: Bool, withBody: Bool) {
    output.append(contentsOf: head)
    output.append(contentsOf: isLast ? Self.lastEnd : Self.end)
    if withBody { output.append(contentsOf: Self.body) }
  }

  /// Answers what is no request.
  func refuse() {
    output.append(
      contentsOf: "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".utf8)
  }

  /// The field Date (RFC 9110, section 6.6.1).
  private static func date(_ now: time_t) -> String {
    var now = now
    var parts = tm()
    gmtime_r(&now, &parts)
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) {
      let count = strftime($0.baseAddress, 64, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts)
      return String(
        decoding: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer($0)[..<count]),
        as: UTF8.self)
    }
  }
}
