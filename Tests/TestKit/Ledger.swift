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
      var target = [CChar](repeating: 0, count: 512)
      let length = readlink("/proc/self/fd/\(fd)", &target, target.count - 1)
      found[fd] = length > 0 ? String(cString: target) : "?"
    }
    closedir(folder)
    return found
  }

  /// The descriptors that are open now and were not open before, in words; waits a little for
  /// threads that are about to close theirs.
  public static func leaks(since before: [Int32: String]) -> [String] {
    var leaked: [String] = []
    for _ in 0..<200 {
      leaked = openDescriptors().filter { before[$0.key] != $0.value }.map { "fd \($0): \($1)" }
      if leaked.isEmpty { break }
      usleep(10_000)
    }
    return leaked
  }
}
