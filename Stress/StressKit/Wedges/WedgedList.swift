/// Who is wedged, from when, and how it ended. Callable from any thread.
final class WedgedList: Sendable {
  private struct Entry {
    let name: String
    let beginning: ContinuousClock.Instant
    var ending: (text: String, at: ContinuousClock.Instant)?
  }

  /// Those of one phase.
  private let entries = Kept<[Entry]>([])

  /// Somebody is wedged from now on.
  func open(_ name: String) {
    let entry = Entry(name: name, beginning: .now)
    entries.withLock { $0.append(entry) }
  }

  /// The server has ended it.
  ///
  /// - Parameter text: what it got.
  func close(_ name: String, _ text: String) {
    let now = ContinuousClock.now
    entries.withLock { entries in
      guard let index = entries.firstIndex(where: { $0.name == name && $0.ending == nil }) else {
        return
      }
      entries[index].ending = (text, now)
    }
  }

  /// Whether somebody is or was wedged in this phase.
  func contains(_ name: String) -> Bool {
    entries.withLock { entries in entries.contains { $0.name == name } }
  }

  /// Whether all are ended.
  var areAllClosed: Bool { entries.withLock { $0.allSatisfy { $0.ending != nil } } }

  /// Those of the phase that is over.
  ///
  /// - Parameters:
  ///   - limit: who took longer was not ended in time.
  func take(limit: Duration) -> [WedgeReport.Wedged] {
    let now = ContinuousClock.now
    return entries.take().map { entry in
      let duration = (entry.ending?.at ?? now) - entry.beginning
      return WedgeReport.Wedged(
        name: entry.name, ending: duration > limit ? nil : entry.ending?.text,
        duration: duration)
    }
  }
}
