import ArgumentParser
import Glibc

/// What a file contains; nil if it cannot be read.
func contents(of path: String) -> String? {
  guard let file = fopen(path, "r") else { return nil }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
    bytes += buffer[..<count]
  }
  return String(decoding: bytes, as: UTF8.self)
}

/// Makes a file of the text, in the place of one that is there.
func save(_ text: String, to path: String) throws {
  guard let file = fopen(path, "w") else {
    throw ValidationError("cannot write \(path): \(String(cString: strerror(errno)))")
  }
  fputs(text, file)
  fclose(file)
}

/// Of this program, which its children are started from.
func ownPath() throws -> String {
  var path = [CChar](repeating: 0, count: Int(PATH_MAX))
  let length = readlink("/proc/self/exe", &path, path.count)
  guard length > 0 else { throw ValidationError("/proc/self/exe cannot be read: mount /proc") }
  return String(decoding: path[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
