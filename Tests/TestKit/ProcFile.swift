import Glibc

/// A file of /proc, read at once.
public struct ProcFile {
  /// The whole text; empty if it cannot be read.
  public let text: String

  /// - Parameter path: absolute.
  public init(_ path: String) {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else {
      text = ""
      return
    }
    defer { close(fd) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let got = buffer.withUnsafeMutableBytes { read(fd, $0.baseAddress, $0.count) }
      if got <= 0 { break }
      bytes += buffer[..<got]
    }
    text = String(decoding: bytes, as: UTF8.self)
  }

  /// The text by lines, without empty ones.
  public var lines: [Substring] { text.split(separator: "\n") }
}
