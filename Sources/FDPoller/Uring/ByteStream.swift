import FDOwnership
import SystemPackage

/// The bytes of one descriptor that are with its loop: come from the kernel and not read, or written
/// and not with the kernel. A connection's, or, with clients in the place of bytes, a listening
/// socket's.
///
/// To its user it is a socket of level-triggered readiness: what the ring has brought can be read
/// until nothing is left, and what is written is as good as sent while there is room. So it is the
/// ring's part of the socket's buffers.
///
/// | request | in flight while                                                               |
/// |---------|-------------------------------------------------------------------------------|
/// | receive | reading is wanted; bytes of one that is being cancelled still count           |
/// | send    | `sending` is not empty; its memory stays until the completion                 |
/// | connect | it is being connected                                                         |
///
/// Two receives at a time would mix the bytes up, and so would two sends: the next one waits for the
/// end of the last. The stream lives until it is dropped and nothing is in flight.
///
/// Used by its loop's thread only; to another loop it goes with a letter.
final class ByteStream: @unchecked Sendable {
  let handle: FDHandle
  /// Clients come in, not bytes.
  let listens: Bool
  /// What comes in is told by a poll and fetched by system calls. A receive in flight may not cross
  /// parking, and a listener may be short of descriptors.
  @exclusivity(unchecked) var readsByPoll: Bool

  @exclusivity(unchecked) var inFlight = 0
  /// Its descriptor is not this loop's any more.
  @exclusivity(unchecked) var isDropped = false
  /// Nothing new is begun: the descriptor is about to go to another loop, or to close.
  @exclusivity(unchecked) var isQuiet = false
  @exclusivity(unchecked) var whenQuiet: (() -> Void)?
  /// It is on the list of those who are told again.
  @exclusivity(unchecked) var isListedToTell = false

  // Input: one request, in flight or none, and what it has brought

  /// The receive or accept in flight, or none.
  @exclusivity(unchecked) var receive = RequestID.none
  /// What has come in this tick.
  @exclusivity(unchecked) var chain = ReceiveBuffers.Chain()
  /// What came before that.
  @exclusivity(unchecked) var backlog = ByteQueue()
  @exclusivity(unchecked) var clients: [Int32] = []
  @exclusivity(unchecked) var inputEnd = InputEnd.none

  /// What follows the bytes that have come.
  enum InputEnd {
    case none
    case ended
    case failed(Errno)
  }

  @inline(__always)
  var inputHasEnded: Bool {
    if case .none = inputEnd { false } else { true }
  }

  /// What the user has been handed last, and is done with when he asks for more.
  @exclusivity(unchecked) var whatWasRead = Reading.nothing

  enum Reading {
    case nothing
    /// So many bytes of it.
    case backlog(Int)
    case firstBuffer
  }

  // Output

  @exclusivity(unchecked) var send = RequestID.none
  /// The bytes of the send in flight.
  @exclusivity(unchecked) var sending = ByteQueue()
  /// What comes after them.
  @exclusivity(unchecked) var waiting = ByteQueue()
  @exclusivity(unchecked) var isListedToSend = false
  /// The wait in which the send was submitted.
  @exclusivity(unchecked) var sendWait: UInt64 = 0
  /// The user wants to know when nothing is left.
  @exclusivity(unchecked) var isFinishing = false
  @exclusivity(unchecked) var outputFailure: Errno?

  // Connecting

  @exclusivity(unchecked) var connect = RequestID.none
  /// Where to, while it is being connected.
  @exclusivity(unchecked) var address = ByteQueue()
  @exclusivity(unchecked) var connectResult: Int32?

  /// With more bytes at hand than this nothing more is received, until so many are left: a user who
  /// reads slowly would otherwise be brought more with every pause that he ends.
  static var backlogLimit: Int { 64 << 10 }
  /// With so many clients at hand no more are accepted, until half of them are served.
  static var clientLimit: Int { 64 }
  /// How many bytes of output it takes at the most.
  static var outputLimit: Int { ByteQueue.Reserve.largestSize }
  /// From so many bytes on a system call is cheaper than a copy.
  static var directLimit: Int { 16 << 10 }

  init(_ handle: FDHandle, _ options: InsertOptions) {
    self.handle = handle
    listens = options.contains(.listens)
    readsByPoll = options.contains(.readsByPoll)
  }

  @inline(__always)
  var queuedOutput: Int { sending.count + waiting.count }

  @inline(__always)
  var mayRead: Bool {
    !chain.isEmpty || !backlog.isEmpty || !clients.isEmpty || inputHasEnded
  }

  /// Half of the room, so that it is not told of byte by byte.
  @inline(__always)
  var mayWrite: Bool {
    if outputFailure != nil || connectResult != nil { return true }
    if !address.isEmpty { return false }
    return queuedOutput <= (isFinishing ? 0 : Self.outputLimit / 2)
  }

  /// What it has to tell to a user who wants so much.
  @inline(__always)
  func readiness(for wanted: Interest) -> Readiness {
    var readiness: Readiness = []
    if wanted.contains(.read) && mayRead { readiness.insert(.read) }
    if wanted.contains(.write) && mayWrite { readiness.insert(.write) }
    return readiness
  }
}
