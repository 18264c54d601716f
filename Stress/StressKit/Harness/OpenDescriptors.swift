import Glibc

/// The descriptors that this process has open, as /proc/self/fd tells.
enum OpenDescriptors {
  /// The numbers and what they lead to, without the one that reads them.
  static func now() -> [Int32: String] {
    var found: [Int32: String] = [:]
    guard let folder = opendir("/proc/self/fd") else { return found }
    defer { closedir(folder) }
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard let fd = Int32(name), fd != dirfd(folder) else { continue }
      found[fd] = target(of: "/proc/self/fd/\(fd)")
    }
    return found
  }

  private static func target(of link: String) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { bytes in
      let length = readlink(link, bytes.baseAddress.unsafelyUnwrapped, bytes.count)
      guard length > 0 else { return "?" }
      return String(
        decoding: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[..<length]),
        as: UTF8.self)
    }
  }

  /// What is open now and was not before, in words.
  static func leaks(since before: [Int32: String]) -> [String] {
    now().filter { before[$0.key] != $0.value }.map { "fd \($0): \($1)" }.sorted()
  }
}
