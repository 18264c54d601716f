import CShims
import Glibc
import SystemPackage

/// Files that fit in memory.
enum TextFile {
  /// - Parameter most: bytes; a larger file is an error.
  /// - Throws: `Failure` with the path and the cause.
  static func read(_ path: String, most: Int) throws(Failure) -> [UInt8] {
    let file = fdp_open(path, O_RDONLY, 0)
    guard file >= 0 else { throw failure(path, -file) }
    defer { _ = fdp_close(file) }
    var bytes = [UInt8](repeating: 0, count: most + 1)
    var count = 0
    while count < bytes.count {
      let got = bytes.withUnsafeMutableBytes {
        fdp_read(file, $0.baseAddress! + count, $0.count - count)
      }
      guard got >= 0 else { throw failure(path, Int32(-got)) }
      if got == 0 { return Array(bytes[..<count]) }
      count += got
    }
    throw .runtime("\(path.debugDescription) has more than \(most) bytes: is it the right file?")
  }

  private static func failure(_ path: String, _ errno: Int32) -> Failure {
    .runtime("cannot read \(path.debugDescription): \(Errno(rawValue: errno))")
  }
}
