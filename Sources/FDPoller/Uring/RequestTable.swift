import FDOwnership

/// What names a request to the kernel, as its user data: a record of the loop's table and that
/// record's own generation, so that an answer to a request that is over is told from one to its
/// successor, even for the same descriptor.
struct RequestID: Equatable, Hashable {
  /// generation 32 | index 24 | part 8
  let rawValue: UInt64

  /// Which of the submissions that concern a request an answer belongs to.
  enum Part: UInt8 {
    case itself, cancellation, secondLook
  }

  static let none = RequestID(rawValue: 0)
  static let maximumIndex: UInt32 = 1 << 24 - 1

  init(rawValue: UInt64) { self.rawValue = rawValue }

  @inline(__always)
  init(index: UInt32, generation: UInt32) {
    rawValue = UInt64(generation) << 32 | UInt64(index) << 8
  }

  /// - Parameter userData: of a completion.
  @inline(__always)
  init(userData: UInt64) { rawValue = userData & ~0xFF }

  @inline(__always)
  static func part(ofUserData userData: UInt64) -> Part {
    Part(rawValue: UInt8(truncatingIfNeeded: userData)).unsafelyUnwrapped
  }

  @inline(__always)
  func userData(_ part: Part) -> UInt64 { rawValue | UInt64(part.rawValue) }

  @inline(__always)
  var index: Int { Int(rawValue >> 8 & 0xFF_FFFF) }
  @inline(__always)
  var generation: UInt32 { UInt32(rawValue >> 32) }
}

/// A request that the kernel has, or is about to get.
struct Request {
  enum State: UInt8 {
    case free
    /// Its answers are acted on.
    case active
    /// It is being cancelled, and what it still tells concerns nobody.
    case ending
  }

  enum Operation: UInt8 {
    /// The poll of the loop's own eventfd.
    case wakeUp
    /// The poll of a descriptor.
    case poll
    /// The poll of a descriptor that other loops poll too, of which only one is woken.
    case exclusivePoll
    // What follows moves bytes, for a stream.
    /// Repeated, into provided buffers.
    case receive
    /// Repeated.
    case accept
    case send
    case connect
  }

  fileprivate(set) var generation: UInt32 = 1
  fileprivate(set) var state = State.free
  fileprivate(set) var operation = Operation.poll
  /// Whose request it is; of a wake-up nobody's.
  fileprivate(set) var handle = FDHandle(rawValue: 0)
  /// The stream that it moves bytes for, which lives until it is over.
  fileprivate(set) var stream: Unmanaged<ByteStream>?
  fileprivate var nextFree: UInt32 = 0

  @inline(__always)
  var isPoll: Bool { stream == nil }
}

/// The requests of one ring that are in flight: a record each, until its last completion.
///
/// Used by its loop's thread only.
struct RequestTable: ~Copyable {
  private var records: UnsafeMutableBufferPointer<Request>
  /// Records below it have been used.
  private var bound: UInt32 = 1
  /// The record that was freed last, or 0; record 0 is never used.
  private var firstFree: UInt32 = 0
  private(set) var inFlight = 0

  init() {
    records = .allocate(capacity: 64)
    records.initialize(repeating: Request())
  }

  deinit {
    records.deallocate()
  }

  mutating func begin(
    _ operation: Request.Operation, for handle: FDHandle, _ stream: ByteStream? = nil
  ) -> RequestID {
    let index: UInt32
    if firstFree != 0 {
      index = firstFree
      firstFree = records[Int(index)].nextFree
    } else {
      index = bound
      precondition(index <= RequestID.maximumIndex, "more requests than there can be descriptors")
      bound += 1
      if index == records.count { grow() }
    }
    inFlight += 1
    records[Int(index)].state = .active
    records[Int(index)].operation = operation
    records[Int(index)].handle = handle
    records[Int(index)].stream = stream.map(Unmanaged.passUnretained)
    return RequestID(index: index, generation: records[Int(index)].generation)
  }

  /// The record of a request, unless that is over.
  @inline(__always)
  subscript(id: RequestID) -> Request? {
    let record = records[id.index]
    return record.generation == id.generation && record.state != .free ? record : nil
  }

  /// Nobody wants to hear of the request any more.
  ///
  /// - Returns: whether it was active.
  mutating func markEnding(_ id: RequestID) -> Bool {
    guard let record = self[id], record.state == .active else { return false }
    records[id.index].state = .ending
    return true
  }

  /// The request has told its last.
  mutating func end(_ id: RequestID) {
    assert(self[id] != nil, "a request ends once")
    inFlight -= 1
    // Never 0, so that no name of a request is `none`.
    records[id.index].generation = max(1, id.generation &+ 1)
    records[id.index].state = .free
    records[id.index].nextFree = firstFree
    firstFree = UInt32(id.index)
  }

  /// The names of all requests that are in flight and active, or ending.
  func all(_ state: Request.State) -> [RequestID] {
    (1..<bound).filter { records[Int($0)].state == state }.map {
      RequestID(index: $0, generation: records[Int($0)].generation)
    }
  }

  private mutating func grow() {
    let larger = UnsafeMutableBufferPointer<Request>.allocate(capacity: records.count * 2)
    larger.initialize(repeating: Request())
    _ = larger.update(fromContentsOf: records)
    records.deallocate()
    records = larger
  }
}
