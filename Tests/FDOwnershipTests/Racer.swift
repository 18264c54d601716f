import Glibc
import TestKit

@testable import FDOwnership

/// One thread of a race, with its place in the word.
struct Racer {
  let number: Int
  let bit: ThreadBit
  var random: SeededRandom
  var tally = Meetings()

  init(number: Int, bit: ThreadBit, seed: UInt64) {
    self.number = number
    self.bit = bit
    random = SeededRandom(seed: seed &* 1_000_003 &+ UInt64(number))
  }

  /// A moment, so that the threads meet in ever different ways.
  mutating func dawdle() {
    let choice = random.next()
    if choice & 15 == 0 {
      sched_yield()
    } else {
      for _ in 0..<(choice >> 8 & 31) { Self.pause() }
    }
  }

  @inline(never)
  private static func pause() {}
}

/// What a thread can meet.
enum Meeting: Int, CaseIterable {
  case entered
  case inside
  case lost
  case stale
  case taken
  case takeoverBusy
  case takeoverStale
  case takeoverClosing
  case nestedEntered
  case nestedInside
  case nestedLost
  case nestedStale
  case inserted
  case occupied
  case claimedByDeleter
  case claimedByLeaver
  case deferred
  case alreadyGone

  init(_ entry: Entry) {
    switch entry {
    case .entered: self = .entered
    case .inside: self = .inside
    case .lost: self = .lost
    case .stale: self = .stale
    }
  }

  init(nested entry: Entry) {
    switch entry {
    case .entered: self = .nestedEntered
    case .inside: self = .nestedInside
    case .lost: self = .nestedLost
    case .stale: self = .nestedStale
    }
  }

  init(_ takeover: Takeover) {
    switch takeover {
    case .taken: self = .taken
    case .busy: self = .takeoverBusy
    case .stale: self = .takeoverStale
    case .closing: self = .takeoverClosing
    }
  }
}

/// How often threads met what.
struct Meetings: Sendable, CustomStringConvertible {
  private var counts = [Int](repeating: 0, count: Meeting.allCases.count)

  subscript(meeting: Meeting) -> Int { counts[meeting.rawValue] }

  mutating func note(_ meeting: Meeting) { counts[meeting.rawValue] += 1 }

  mutating func add(_ other: Meetings) {
    for index in counts.indices { counts[index] += other.counts[index] }
  }

  var description: String {
    Meeting.allCases.filter { self[$0] > 0 }.map { "\($0) \(self[$0])" }.joined(separator: ", ")
  }
}
