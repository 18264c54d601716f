import CShims

/// How the kernel does its part of a ring's work, the best way first.
enum RingMode: Int, CaseIterable, Sendable {
  /// One thread submits, and the kernel's part of the work is done when that thread waits: no
  /// completion ever interrupts it. Linux 6.1.
  case deferred
  /// One thread submits, and the kernel's part is done whenever that thread is in the kernel. Linux
  /// 6.0.
  case cooperative
  /// As the former, but the kernel does not know that only one thread submits. Linux 5.19.
  case cooperativeShared
  /// The kernel interrupts the thread to do its part.
  case interrupting

  /// The ring is disabled until its thread enables it: it is made elsewhere, where an error can be
  /// thrown.
  var flags: UInt32 {
    switch self {
    case .deferred:
      UInt32(IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)
    case .cooperative:
      UInt32(IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN)
    case .cooperativeShared:
      UInt32(IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN)
    case .interrupting:
      UInt32(IORING_SETUP_R_DISABLED)
    }
  }

  /// What a ring of this mode goes without.
  var lacks: String? {
    switch self {
    case .deferred: nil
    case .cooperative: "IORING_SETUP_DEFER_TASKRUN (Linux 6.1)"
    case .cooperativeShared: "IORING_SETUP_SINGLE_ISSUER (Linux 6.0)"
    case .interrupting: "IORING_SETUP_COOP_TASKRUN (Linux 5.19)"
    }
  }
}

/// How the rings of a poller are made.
struct RingSetup: Sendable {
  /// What is tried, the best first.
  var modes = RingMode.allCases
  /// How many requests are collected before the kernel has to be told of them in the middle of a
  /// tick.
  var submissions: UInt32 = 256
  /// How many completions the ring has room for. More than that the kernel keeps, and hands out
  /// when there is room.
  var completions: UInt32 = 4096
  /// How many completions one wait takes out at the most.
  var completionsPerWait = 256
}
