// What outlives an execution: its value, or that it failed. Bounded in number, and collected when
// it is idle.

extension SingleFlightState {
  mutating func keep(
    _ value: Value, of key: Key, _ incarnation: Incarnation, began: Moment, _ lifetime: Duration?,
    at now: Moment, _ effects: inout Effects
  ) {
    forget(key, &effects)
    guard settings.keepsValues else { return }
    let usable = (lifetime ?? settings.unknownLifetime) * settings.usableShare
    guard now < began + usable else { return effects.dropped.append(value) }
    entries[key]?.kept = KeptValue(
      incarnation: incarnation, value: value, usableUntil: began + usable,
      refreshAt: began + usable * settings.refreshShare, lastUse: now)
    note(key, at: now, &effects)
  }

  mutating func remember(
    failureOf key: Key, _ chance: Double, at now: Moment, _ effects: inout Effects
  ) {
    if let kept = entries[key]?.kept {
      // The next try to refresh comes after half of the time that is left.
      entries[key]?.kept?.refreshAt = now + (kept.usableUntil - now) / 2
    }
    guard let backOff = settings.backOff, var entry = entries[key] else { return }
    entry.failures += 1
    entry.notBefore = now + backOff.delay(after: entry.failures, chance: chance)
    entries[key] = entry
    note(key, at: now, &effects)
  }

  /// The key has something to keep; the one used longest ago gives way.
  private mutating func note(_ key: Key, at now: Moment, _ effects: inout Effects) {
    recency.use(key)
    while recency.count > settings.capacity, let oldest = recency.oldest {
      forget(oldest, &effects)
      entries[oldest]?.failures = 0
      recency.remove(oldest)
      // The caller tidies its own key when it is done with it.
      if oldest != key { tidy(oldest) }
    }
    if nextCollection == nil, !isCollecting { nextCollection = now + settings.collectionInterval }
  }

  private mutating func forget(_ key: Key, _ effects: inout Effects) {
    guard let kept = entries[key]?.kept else { return }
    effects.dropped.append(kept.value)
    entries[key]?.kept = nil
    if entries[key]?.failures == 0 { recency.remove(key) }
  }

  // MARK: Collection

  /// Shows what may be forgotten, when it is time for that. Failures have no value that anybody
  /// would have to be asked about.
  mutating func collectIfDue(at now: Moment, _ effects: inout Effects) {
    guard let due = nextCollection, due <= now else { return }
    nextCollection = nil
    for key in recency.oldestFirst {
      guard let entry = entries[key] else { continue }
      if let kept = entry.kept, now >= kept.usableUntil || kept.lastUse + settings.idleLimit <= now
      {
        effects.candidates.append(
          ForgetCandidate(
            key: key, value: kept.value, incarnation: kept.incarnation, uses: kept.uses))
      } else if entry.kept == nil, entry.notBefore + settings.idleLimit <= now {
        entries[key]?.failures = 0
        recency.remove(key)
        tidy(key)
      }
    }
    isCollecting = !effects.candidates.isEmpty
    if !isCollecting { planCollection(at: now) }
  }

  /// All candidates of the last collection have been dealt with.
  package mutating func endCollection(at now: Moment, _ effects: inout Effects) {
    isCollecting = false
    planCollection(at: now)
    effects.wakeAt = nearest
  }

  private mutating func planCollection(at now: Moment) {
    if recency.count > 0 { nextCollection = now + settings.collectionInterval }
  }

  /// Forgets a value, if it is still the same and nobody has used it since.
  package mutating func forget(
    _ candidate: ForgetCandidate<Key, Value>, _ effects: inout Effects
  ) {
    guard let kept = entries[candidate.key]?.kept, kept.incarnation == candidate.incarnation,
      kept.uses == candidate.uses
    else { return }
    forget(candidate.key, &effects)
    tidy(candidate.key)
  }

  /// The value that is kept, usable or not, without counting as a use.
  package func candidate(_ key: Key) -> ForgetCandidate<Key, Value>? {
    entries[key]?.kept.map {
      ForgetCandidate(key: key, value: $0.value, incarnation: $0.incarnation, uses: $0.uses)
    }
  }

  /// Forgets a value, if it is still the same, whether or not it has been used since.
  package mutating func remove(_ seen: ForgetCandidate<Key, Value>, _ effects: inout Effects) {
    guard entries[seen.key]?.kept?.incarnation == seen.incarnation else { return }
    forget(seen.key, &effects)
    tidy(seen.key)
  }
}
