import CShims
import FDNet
import Glibc
import SystemPackage

/// What a server has answered, its chunks put together.
struct RawAnswer {
  let head: String
  let body: String

  var status: Int { Int(head.dropFirst(9).prefix(3)) ?? -1 }

  /// The value of a field, nil without it.
  func field(_ name: String) -> String? {
    head.split(separator: "\r\n").first { $0.hasPrefix(name + ": ") }
      .map { String($0.dropFirst(name.utf8.count + 2)) }
  }
}

/// A blocking client of one connection. No call of it waits longer than 30 seconds.
final class PlainClient {
  private let fd: Int32
  private var received: [UInt8] = []

  /// Connects, and waits for it.
  init(to address: SocketAddress) throws {
    fd = socket(address.domain, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard fd >= 0 else { throw Errno(rawValue: errno) }
    var limit = timeval(tv_sec: 30, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
    let result = address.withSockAddr { fdp_connect(fd, $0, $1) }
    guard result == 0 else { throw Errno(rawValue: -result) }
  }

  deinit { close(fd) }

  /// Closes with a reset when it is dropped.
  func resetAtEnd() { _ = fdp_set_linger(fd, true, 0) }

  func send(_ text: String) throws {
    let bytes = Array(text.utf8)
    let sent = fdp_send(fd, bytes, bytes.count, 0)
    guard sent == bytes.count else { throw Errno(rawValue: Int32(-sent)) }
  }

  /// Sends a text to a server that echoes, and waits for as many bytes.
  func echo(_ text: String) throws -> String {
    try send(text)
    var answer: [UInt8] = []
    while answer.count < text.utf8.count {
      var buffer = [UInt8](repeating: 0, count: text.utf8.count - answer.count)
      let count = fdp_receive(fd, &buffer, buffer.count, 0)
      guard count > 0 else { throw Errno(rawValue: count == 0 ? EPIPE : Int32(-count)) }
      answer += buffer[..<count]
    }
    return String(decoding: answer, as: UTF8.self)
  }

  /// Asks, and waits for the whole answer.
  func ask(_ target: String, _ method: String = "GET") throws -> RawAnswer {
    try send("\(method) \(target) HTTP/1.1\r\nHost: test\r\n\r\n")
    return try answer(isHead: method == "HEAD")
  }

  func answer(isHead: Bool = false) throws -> RawAnswer {
    let head = try take(through: "\r\n\r\n")
    let answer = RawAnswer(head: head, body: "")
    if isHead { return answer }
    if let length = answer.field("Content-Length").flatMap({ Int($0) }) {
      return RawAnswer(head: head, body: try take(length))
    }
    var body = ""
    while true {
      let size = Int(try take(through: "\r\n").dropLast(), radix: 16) ?? -1
      guard size > 0 else { break }
      body += try take(size)
      _ = try take(2)
    }
    _ = try take(2)
    return RawAnswer(head: head, body: body)
  }

  private func take(through end: String) throws -> String {
    let wanted = Array(end.utf8)
    var count = wanted.count
    while true {
      while received.count < count { try receive() }
      if received[..<count].suffix(wanted.count).elementsEqual(wanted) { return try take(count) }
      count += 1
    }
  }

  private func take(_ count: Int) throws -> String {
    while received.count < count { try receive() }
    defer { received.removeFirst(count) }
    return String(decoding: received[..<count], as: UTF8.self)
  }

  private func receive() throws {
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    let count = fdp_receive(fd, &buffer, buffer.count, 0)
    guard count > 0 else { throw Errno(rawValue: count == 0 ? EPIPE : Int32(-count)) }
    received += buffer[..<count]
  }
}
