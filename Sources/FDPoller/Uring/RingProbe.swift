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
  /// - Returns: that way, and what can be done with it.
  static func abilities(_ setup: RingSetup) throws(RingRefusal) -> RingAbilities {
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
      let buffers = Self.buffers(for: ring, areTried: setup.tries.receives)
      do {
        try ring.enable()
      } catch {
        throw RingRefusal(reason: reason(for: error))
      }
      try tryPolls(on: ring)
      var abilities = RingAbilities(mode: mode, receives: false, accepts: false)
      if buffers.count > 0 { abilities.receives = try canReceive(on: ring) }
      if setup.tries.accepts { abilities.accepts = try canAccept(on: ring) }
      return abilities
    }
    throw RingRefusal(reason: "the kernel is too old: it knows none of the ways to set a ring up")
  }

  /// None if the kernel does not know them.
  private static func buffers(
    for ring: borrowing Ring, areTried: Bool
  ) -> ReceiveBuffers {
    guard areTried else { return ReceiveBuffers() }
    do {
      return try ReceiveBuffers(for: ring, count: 1, size: 64)
    } catch {
      return ReceiveBuffers()
    }
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

  /// A receive that goes on after the first message, and a send.
  private static func canReceive(on ring: borrowing Ring) throws(RingRefusal) -> Bool {
    var pair: [Int32] = [-1, -1]
    let result = fdp_socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), &pair)
    try checkDescriptors(result)
    guard result == 0 else { return false }
    defer { for fd in pair { _ = fdp_close(fd) } }
    let byte = UnsafeMutableRawBufferPointer.allocate(byteCount: 1, alignment: 1)
    byte[0] = 33
    defer { byte.deallocate() }
    let (receive, send) = (RequestID(index: 1, generation: 2), RequestID(index: 2, generation: 1))
    guard ring.send(pair[1], UnsafeRawBufferPointer(byte), send),
      try answer(of: ring)?.result == 1, ring.receive(pair[0], receive)
    else { return false }
    let first = try answer(of: ring)
    guard let first, first.result == 1, first.buffer != nil, first.hasMore, ring.cancel(receive)
    else { return false }
    return try answer(of: ring)?.user_data == receive.userData(.itself)
  }

  /// An accept that goes on after the first client, on a socket that does not block.
  private static func canAccept(on ring: borrowing Ring) throws(RingRefusal) -> Bool {
    let listener = fdp_socket(AF_UNIX, Int32(SOCK_STREAM.rawValue))
    let client = fdp_socket(AF_UNIX, Int32(SOCK_STREAM.rawValue))
    defer { for fd in [listener, client] where fd >= 0 { _ = fdp_close(fd) } }
    try checkDescriptors(min(listener, client))
    // An address of the kernel's choice, without a file (unix(7), autobind).
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var length = UInt32(MemoryLayout<sockaddr_un>.size)
    let id = RequestID(index: 1, generation: 3)
    guard listener >= 0, client >= 0,
      fdp_bind(listener, &address, UInt32(MemoryLayout<sa_family_t>.size)) == 0,
      fdp_listen(listener, 1) == 0, fdp_local_address(listener, &address, &length) == 0,
      ring.accept(listener, id), ring.submit() >= 0, fdp_connect(client, &address, length) == 0
    else { return false }
    let first = try answer(of: ring)
    if let first, first.result >= 0 { _ = fdp_close(first.result) }
    try checkDescriptors(first?.result ?? 0)
    guard let first, first.result >= 0, first.hasMore, ring.cancel(id) else { return false }
    return try answer(of: ring)?.user_data == id.userData(.itself)
  }

  /// What could not be tried for want of a descriptor is not what the kernel lacks.
  private static func checkDescriptors(_ result: Int32) throws(RingRefusal) {
    if result == -EMFILE || result == -ENFILE {
      throw RingRefusal(reason: reason(for: Errno(rawValue: -result)))
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
