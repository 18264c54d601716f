import CShims
import Glibc
import SystemPackage

/// Why io_uring cannot be used, in words.
struct RingRefusal: Error, Equatable {
  let reason: String
}

/// Finds out by trying what of io_uring this kernel has and allows.
enum RingProbe {
  /// Makes a ring in the best way that the kernel takes, and tries on it everything that the
  /// backend does.
  ///
  /// - Returns: that way.
  static func bestMode(_ setup: RingSetup) throws(RingRefusal) -> RingMode {
    for mode in setup.modes {
      let ring: Ring
      do {
        ring = try Ring(mode, submissions: setup.submissions, completions: setup.completions)
      } catch {
        // That is how a kernel answers to flags that it does not know.
        if error == .invalidArgument { continue }
        throw RingRefusal(reason: reason(for: error))
      }
      try check(features: ring.features)
      do {
        try ring.enable()
      } catch {
        throw RingRefusal(reason: reason(for: error))
      }
      try tryPolls(on: ring)
      return mode
    }
    throw RingRefusal(reason: "the kernel is too old: it knows none of the ways to set a ring up")
  }

  private static let needed: [(feature: UInt32, name: String)] = [
    (UInt32(IORING_FEAT_NODROP), "completions that are never lost (Linux 5.5)"),
    (UInt32(IORING_FEAT_POLL_32BITS), "polls with all of epoll's bits (Linux 5.9)"),
    (UInt32(IORING_FEAT_EXT_ARG), "waiting with a timeout in one call (Linux 5.11)"),
    (UInt32(IORING_FEAT_CQE_SKIP), "requests without a completion (Linux 5.17)"),
  ]

  static func check(features: UInt32) throws(RingRefusal) {
    for (feature, name) in needed where features & feature == 0 {
      throw RingRefusal(reason: "the kernel is too old: it lacks \(name)")
    }
  }

  /// A multishot poll that stays, looks again when it is told to, and can be cancelled.
  private static func tryPolls(on ring: borrowing Ring) throws(RingRefusal) {
    let event = fdp_eventfd()
    guard event >= 0 else { throw RingRefusal(reason: reason(for: Errno(rawValue: -event))) }
    defer { _ = fdp_close(event) }
    _ = fdp_eventfd_signal(event)
    let id = RequestID(index: 1, generation: 1)
    let input = EPOLLIN.rawValue
    let isCollected = ring.poll(event, input, multishot: true, id)
    let poll = isCollected ? try answer(of: ring) : nil
    guard let poll, poll.result > 0, poll.hasMore else {
      throw RingRefusal(reason: "the kernel is too old: it lacks multishot polls (Linux 5.13)")
    }
    let isAskedAgain = ring.pollAgain(id, input)
    let again = isAskedAgain ? try answer(of: ring) : nil
    guard let again, again.user_data == id.userData(.itself), again.result > 0 else {
      throw RingRefusal(reason: "the kernel is too old: it cannot update a poll (Linux 5.13)")
    }
    let isCancelled = ring.removePoll(id)
    let last = isCancelled ? try answer(of: ring) : nil
    guard let last, last.user_data == id.userData(.itself), !last.hasMore else {
      throw RingRefusal(reason: "the kernel does not cancel a poll")
    }
  }

  /// The next completion, of a request that is answered at once.
  private static func answer(of ring: borrowing Ring) throws(RingRefusal) -> fdp_completion? {
    var completion = fdp_completion()
    for _ in 0..<10 {
      let result = ring.wait(nanoseconds: 100_000_000)
      // A filter may let io_uring_setup(2) through, and forbid the calls that use the ring.
      guard result >= 0 || result == -ETIME || result == -EINTR else {
        throw RingRefusal(reason: reason(for: Errno(rawValue: -result)))
      }
      let count = withUnsafeMutablePointer(to: &completion) {
        ring.takeCompletions(UnsafeMutableBufferPointer(start: $0, count: 1))
      }
      if count == 1 { return completion }
    }
    return nil
  }

  /// What io_uring_setup(2) means by its errors.
  ///
  /// - Parameter disabled: kernel.io_uring_disabled, nil if the kernel has no such thing.
  static func reason(for errno: Errno, disabled: String? = sysctl()) -> String {
    let text =
      switch errno {
      case .noFunction:
        "the kernel has no io_uring: it is older than Linux 5.1, built without it, "
          + "or a seccomp filter hides it"
      case .notPermitted:
        switch disabled {
        case "1"?: "kernel.io_uring_disabled is 1, and the process is not in io_uring_group"
        case "2"?: "kernel.io_uring_disabled is 2"
        default: "it is forbidden, by a seccomp filter or a security module"
        }
      case .noMemory:
        "no memory for its rings, or RLIMIT_MEMLOCK is too low"
      case .tooManyOpenFiles, .tooManyOpenFilesInSystem:
        "there is no descriptor left for its rings"
      default:
        "the kernel refuses it"
      }
    return "\(text) (\(errno), errno \(errno.rawValue))"
  }

  static func sysctl() -> String? {
    let fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return nil }
    defer { _ = fdp_close(fd) }
    var byte: UInt8 = 0
    return fdp_read(fd, &byte, 1) == 1 ? String(UnicodeScalar(byte)) : nil
  }
}
