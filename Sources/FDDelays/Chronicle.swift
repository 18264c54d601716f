import CShims
public import FDAtomics
import Glibc
import Synchronization

/// What each thread did last: a short ring of notes for each, read when something has gone wrong.
///
/// Callable from any thread. Notes of a thread that has ended stay until another thread needs the
/// room.
public enum Chronicle {
  /// What was noted.
  public enum What: Sendable {
    /// A place between two steps of a protocol, and the value that is known there.
    case passed(DelayPoint, UInt64)
    /// Something else, and the descriptor that it was done to, as a raw handle.
    case did(String, UInt64)
  }

  /// A note.
  public struct Note: Sendable {
    /// What was noted.
    public let what: What
    /// On CLOCK_MONOTONIC, in nanoseconds.
    public let time: UInt64
  }

  /// The notes of one thread.
  public struct Page: Sendable {
    /// The name of the thread.
    public let thread: String
    /// Oldest first.
    public let notes: [Note]
  }

  /// Notes what the calling thread does.
  ///
  /// - Parameters:
  ///   - what: in a few words.
  ///   - handle: the raw value of the handle of the descriptor concerned; all bits set if none is.
  public static func note(_ what: StaticString, _ handle: UInt64) {
    NoteRing.mine.add(NoteCode(what), handle)
  }

  static func note(_ point: DelayPoint, _ value: UInt64) {
    NoteRing.mine.add(NoteCode(point), value)
  }

  /// What every thread has noted last; what is noted meanwhile may be missing or torn.
  public static var pages: [Page] {
    var pages: [Page] = []
    var next = NoteRing.first
    while let ring = next {
      let page = ring.page
      if !page.notes.isEmpty { pages.append(page) }
      next = ring.next
    }
    return pages
  }
}

/// One thread's notes. Rings are never freed: one of a thread that has ended serves the next one.
final class NoteRing: @unchecked Sendable {
  static let capacity = 32
  private static let fields = 3

  /// Code, value and time of each.
  private let entries: UnsafeMutablePointer<Atomic<UInt64>>
  private let count = Atomic<UInt64>(0)
  private let name = Atomic<UInt64>(0)
  private let nameEnd = Atomic<UInt64>(0)
  private let isTaken = Atomic<Bool>(true)
  private(set) var next: NoteRing?

  private init() {
    entries = .allocate(capacity: Self.capacity * Self.fields)
    for index in 0..<Self.capacity * Self.fields { (entries + index).initialize(to: Atomic(0)) }
  }

  // MARK: Whose it is

  private static let newest = Atomic<UInt>(0)
  /// A thread's end gives its ring back.
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    let result = pthread_key_create(&key) { ring in
      guard let ring else { return }
      Unmanaged<NoteRing>.fromOpaque(ring)._withUnsafeGuaranteedRef {
        $0.isTaken.store(false, ordering: .releasing)
      }
    }
    precondition(result == 0, "a process has room for one more key of thread data")
    return key
  }()

  static var first: NoteRing? {
    UnsafeRawPointer(bitPattern: newest.load(ordering: .acquiring)).map {
      Unmanaged<NoteRing>.fromOpaque($0).takeUnretainedValue()
    }
  }

  /// The calling thread's.
  static var mine: NoteRing {
    if let known = pthread_getspecific(key) {
      return Unmanaged<NoteRing>.fromOpaque(known).takeUnretainedValue()
    }
    let ring = spare() ?? add()
    ring.begin()
    pthread_setspecific(key, Unmanaged.passUnretained(ring).toOpaque())
    return ring
  }

  private static func spare() -> NoteRing? {
    var candidate = first
    while let ring = candidate {
      if !ring.isTaken.load(ordering: .relaxed),
        !ring.isTaken.exchange(true, ordering: .acquiring)
      {
        return ring
      }
      candidate = ring.next
    }
    return nil
  }

  private static func add() -> NoteRing {
    let ring = NoteRing()
    let address = UInt(bitPattern: Unmanaged.passRetained(ring).toOpaque())
    var found = newest.load(ordering: .acquiring)
    while true {
      ring.next = UnsafeRawPointer(bitPattern: found).map {
        Unmanaged<NoteRing>.fromOpaque($0).takeUnretainedValue()
      }
      let attempt = newest.compareExchange(
        expected: found, desired: address, ordering: .acquiringAndReleasing)
      if attempt.exchanged { return ring }
      found = attempt.original
    }
  }

  private func begin() {
    count.store(0, ordering: .relaxed)
    var words: (UInt64, UInt64) = (0, 0)
    withUnsafeMutableBytes(of: &words) {
      fdp_thread_name($0.bindMemory(to: CChar.self).baseAddress)
    }
    name.store(words.0, ordering: .relaxed)
    nameEnd.store(words.1, ordering: .relaxed)
  }

  var threadName: String {
    let words = (name.load(ordering: .relaxed), nameEnd.load(ordering: .relaxed))
    return withUnsafeBytes(of: words) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
  }

  // MARK: Notes

  func add(_ code: NoteCode, _ value: UInt64) {
    let number = count.load(ordering: .relaxed)
    let entry = entries + Int(number % UInt64(Self.capacity)) * Self.fields
    entry[0].store(code.rawValue, ordering: .relaxed)
    entry[1].store(value, ordering: .relaxed)
    entry[2].store(Self.now(), ordering: .relaxed)
    count.store(number + 1, ordering: .releasing)
  }

  private static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  var page: Chronicle.Page {
    let end = count.load(ordering: .acquiring)
    let begin = end > Self.capacity ? end - UInt64(Self.capacity) : 0
    return Chronicle.Page(thread: threadName, notes: (begin..<end).map(note))
  }

  private func note(_ number: UInt64) -> Chronicle.Note {
    let entry = entries + Int(number % UInt64(Self.capacity)) * Self.fields
    let code = NoteCode(rawValue: entry[0].load(ordering: .relaxed))
    return Chronicle.Note(
      what: code.what(entry[1].load(ordering: .relaxed)), time: entry[2].load(ordering: .relaxed))
  }
}

/// What was noted, in one word, so that a note that is overwritten meanwhile is wrong but readable:
/// the address of a text with its length above it, or, without a length, a point.
struct NoteCode {
  private static let lengthShift: UInt64 = 48
  let rawValue: UInt64

  init(rawValue: UInt64) { self.rawValue = rawValue }

  init(_ point: DelayPoint) { rawValue = UInt64(point.rawValue) }

  init(_ text: StaticString) {
    precondition(text.utf8CodeUnitCount > 0, "a note says something")
    let address = UInt64(UInt(bitPattern: text.utf8Start))
    rawValue = UInt64(text.utf8CodeUnitCount) << Self.lengthShift | address
  }

  func what(_ value: UInt64) -> Chronicle.What {
    let length = Int(rawValue >> Self.lengthShift)
    let rest = rawValue & (1 << Self.lengthShift - 1)
    guard length > 0 else {
      return .passed(DelayPoint(rawValue: UInt8(truncatingIfNeeded: rest)) ?? .event, value)
    }
    let text = UnsafeRawBufferPointer(
      start: UnsafeRawPointer(bitPattern: UInt(rest)), count: length)
    return .did(String(decoding: text, as: UTF8.self), value)
  }
}
