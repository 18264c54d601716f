import FDAtomics
import FDDelays
import FDOwnership
import FDPoller

/// What every thread did last, in words.
enum ThreadHistory {
  private static let notesPerThread = 8

  /// One line for each thread that did something, and one for each thing.
  ///
  /// - Parameter begin: what was done before does not count, in nanoseconds on CLOCK_MONOTONIC.
  static func lines(since begin: UInt64) -> [String] {
    let now = EventLoop.clock()
    var lines: [String] = []
    for page in Chronicle.pages {
      let recent = page.notes.suffix(notesPerThread).filter { $0.time >= begin }
      guard !recent.isEmpty else { continue }
      lines.append("\(page.thread):")
      for note in recent {
        let microseconds = (now > note.time ? now - note.time : 0) / 1_000
        let ago = "\(microseconds)"
        let padding = String(repeating: " ", count: max(0, 7 - ago.count))
        lines.append("  \(padding)\(ago) us ago  \(text(note.what))")
      }
    }
    return lines
  }

  private static func text(_ what: Chronicle.What) -> String {
    switch what {
    case .did(let what, FDHandle.none.rawValue):
      what
    case .did(let what, let handle):
      "\(what) \(FDHandle(rawValue: handle))"
    case .passed(let point, let value):
      "\(point.name): \(point.place)\(point.meaning(of: value))"
    }
  }
}

extension DelayPoint {
  /// What is known there, in words.
  fileprivate func meaning(of value: UInt64) -> String {
    switch kind {
    case .word: "; the word: \(OwnershipState(rawValue: value))"
    case .handle: "; \(FDHandle(rawValue: value))"
    case .ticket: "; generation \(value >> (64 - Generation.bits))"
    case .mask: "; threads \(ThreadMask(rawValue: UInt16(truncatingIfNeeded: value)).indices)"
    case .nothing: ""
    }
  }
}
