import CShims
import Glibc

/// The descriptors that this process has open, for tests that leave none behind.
public enum Ledger {
  /// The open descriptor numbers and what they lead to, as /proc/self/fd tells; without the one
  /// that reads it.
  public static func openDescriptors() -> [Int32: String] {
    var found: [Int32: String] = [:]
    guard let folder = opendir("/proc/self/fd") else { return found }
    let own = dirfd(folder)
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard let fd = Int32(name), fd != own else { continue }
      found[fd] = target(of: "/proc/self/fd/\(fd)")
    }
    closedir(folder)
    return found
  }

  private static func target(of link: String) -> String {
    var bytes = [UInt8](repeating: 0, count: 512)
    let length = bytes.withUnsafeMutableBytes {
      readlink(link, $0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self), $0.count)
    }
    return length > 0 ? String(decoding: bytes[..<length], as: UTF8.self) : "?"
  }

  /// The descriptors that are open now and were not open before, in words; without those of the
  /// concurrency runtime's clocks, which it opens when it needs them and keeps.
  public static func excess(over before: [Int32: String]) -> [String] {
    openDescriptors()
      .filter { before[$0.key] != $0.value && $0.value != "anon_inode:[timerfd]" }
      .map { "fd \($0): \($1)" }
  }

  /// As `excess(over:)`, but waits a little for threads that are about to close theirs.
  public static func leaks(since before: [Int32: String]) -> [String] {
    var leaked: [String] = []
    for _ in 0..<200 {
      leaked = excess(over: before)
      if leaked.isEmpty { break }
      usleep(10_000)
    }
    return leaked
  }
}
