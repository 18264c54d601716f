import Glibc

/// Runs the body with a file that has this text, and removes it.
public func withFile<Result>(
  _ text: String, _ body: (String) async throws -> Result
) async throws -> Result {
  var name = Array("/tmp/fd-test-XXXXXX".utf8CString)
  let file = mkstemp(&name)
  defer { unlink(name) }
  precondition(file >= 0, "cannot make a file in /tmp: errno \(errno)")
  write(text, to: file)
  close(file)
  return try await body(String(decoding: name.dropLast().map(UInt8.init), as: UTF8.self))
}

/// Replaces what is in a file.
public func rewrite(_ path: String, _ text: String) {
  let file = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)
  precondition(file >= 0, "cannot write \(path): errno \(errno)")
  write(text, to: file)
  close(file)
}

private func write(_ text: String, to file: Int32) {
  let bytes = Array(text.utf8)
  precondition(Glibc.write(file, bytes, bytes.count) == bytes.count)
}
