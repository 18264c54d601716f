import Glibc

/// The descriptors that this process has open at one moment, as /proc/self/fd tells; without timers,
/// which only the concurrency runtime opens, one for each clock when it first waits for that.
struct OpenDescriptors {
  /// The numbers and what they lead to, without the one that reads them; nil if they cannot be read.
  private let targets: [Int32: String]?

  /// As they are now.
  init() {
    guard let folder = opendir("/proc/self/fd") else {
      targets = nil
      return
    }
    defer { closedir(folder) }
    var found: [Int32: String] = [:]
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard let fd = Int32(name), fd != dirfd(folder) else { continue }
      let target = Self.target(of: "/proc/self/fd/\(fd)")
      if target != "anon_inode:[timerfd]" { found[fd] = target }
    }
    targets = found
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

  /// What is open now and was not then, and the other way round, in words.
  var changes: [String] {
    guard let targets, let present = OpenDescriptors().targets else {
      return ["/proc/self/fd cannot be read"]
    }
    let left = present.filter { targets[$0.key] != $0.value }
    let lost = targets.filter { present[$0.key] == nil }
    return (left.map { "fd \($0): \($1)" } + lost.map { "fd \($0): \($1) was closed" }).sorted()
  }
}
