import Glibc

/// A process and its children, as /proc shows them (proc(5)).
struct ProcessTree {
  let pids: [pid_t]

  init(_ root: pid_t) {
    var pids = [root]
    for name in Files.names(in: "/proc") {
      guard let pid = pid_t(name), let stat = Files.read("/proc/\(pid)/stat"),
        let end = stat.lastIndex(of: ")")
      else { continue }
      let fields = stat[end...].split(separator: " ")
      if fields.count > 2, pid_t(fields[2]) == root { pids.append(pid) }
    }
    self.pids = pids
  }

  init(_ pids: [pid_t]) { self.pids = pids }

  /// How long its threads have run so far, in user mode and in the kernel.
  var runNanoseconds: UInt64 {
    var sum: UInt64 = 0
    for pid in pids {
      for task in Files.names(in: "/proc/\(pid)/task") {
        let text = Files.read("/proc/\(pid)/task/\(task)/schedstat")
        sum += text?.split(separator: " ").first.flatMap { UInt64($0) } ?? 0
      }
    }
    return sum
  }

  /// Memory of its own, in bytes: no mapped files, whose share changes with every other process.
  var userBytes: Int? {
    var sum = 0
    for pid in pids {
      guard let text = Files.read("/proc/\(pid)/smaps_rollup") else { return nil }
      for line in text.split(separator: "\n") {
        let fields = line.split(separator: " ")
        guard fields.count > 1, ["Pss_Anon:", "Pss_Shmem:"].contains(fields[0]) else { continue }
        sum += (Int(fields[1]) ?? 0) * 1024
      }
    }
    return sum
  }

  var descriptors: Int {
    pids.reduce(0) { $0 + Files.names(in: "/proc/\($1)/fd").count }
  }
}
