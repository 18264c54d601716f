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
  /// thrown. One request that the kernel refuses keeps none back that follow it (Linux 5.18).
  var flags: UInt32 {
    let flags =
      switch self {
      case .deferred:
        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN
      case .cooperative:
        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN
      case .cooperativeShared:
        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN
      case .interrupting:
        UInt32(0)
      }
    return UInt32(IORING_SETUP_R_DISABLED) | UInt32(flags)
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

/// What the rings of a poller can do here, as `RingProbe` has found out.
struct RingAbilities: Sendable, Equatable {
  var mode: RingMode
  /// Receives repeat and choose from provided buffers. Otherwise bytes are received by system calls
  /// when a poll tells of them.
  var receives = true
  /// Accepts repeat. Otherwise clients are accepted by system calls, likewise.
  var accepts = true

  /// What they go without.
  var lacks: [String] {
    var lacks: [String] = []
    if let missing = mode.lacks { lacks.append(missing) }
    if !receives { lacks.append("repeated receives into provided buffers (Linux 6.0)") }
    if !accepts { lacks.append("repeated accepts (Linux 5.19)") }
    return lacks
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
  /// Each loop's receive buffers: how many, a power of 2, and how large, in bytes.
  var buffers = (count: 512, size: 8192)
  /// What is tried beyond polls; without it bytes and clients are moved by system calls.
  var tries = (receives: true, accepts: true)
}
