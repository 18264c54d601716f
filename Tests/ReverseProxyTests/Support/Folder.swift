import Glibc
import TestKit

/// Runs the body with the path of an empty folder, which is removed with its files at the end.
func withFolder(_ body: (String) async throws -> Void) async rethrows {
  var template = Array("/tmp/fd-test-XXXXXX".utf8CString)
  guard let path = mkdtemp(&template) else { preconditionFailure("no folder: errno \(errno)") }
  let folder = String(cString: path)
  defer { removeFolder(folder) }
  try await body(folder)
}

private func removeFolder(_ path: String) {
  guard let folder = opendir(path) else { return }
  while let entry = readdir(folder) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name != "." && name != ".." { unlink(path + "/" + name) }
  }
  closedir(folder)
  rmdir(path)
}

/// What a file has in it; nothing if it is not there.
func contents(of path: String) -> [UInt8] {
  let fd = open(path, O_RDONLY | O_CLOEXEC)
  guard fd >= 0 else { return [] }
  defer { close(fd) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = read(fd, &buffer, buffer.count)
    guard count > 0 else { return bytes }
    bytes += buffer[..<count]
  }
}

/// How many lines of a file that is being written have an end by now.
func lineCount(of path: String) -> Int { contents(of: path).count { $0 == UInt8(ascii: "\n") } }

/// The lines of a file, each of which has to have an end.
func lines(of path: String) -> [String] { lines(in: contents(of: path)) }

func lines(in bytes: [UInt8]) -> [String] {
  let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
  precondition(lines.last?.isEmpty != false, "the last line has no end")
  return lines.dropLast().map { String(decoding: $0, as: UTF8.self) }
}
