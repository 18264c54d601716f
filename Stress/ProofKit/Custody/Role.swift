/// What one thread of a scenario does to the descriptor, once.
public enum Role: String, CaseIterable, Sendable {
  /// A loop has an event for the descriptor.
  case event
  /// A loop has an event, and its handler takes a lock.
  case lockEvent = "lock-event"
  /// A loop has an event for the incarnation before it.
  case staleEvent = "stale-event"
  /// A loop has an event, and its handler deletes the descriptor.
  case deleteInside = "delete-inside"
  /// A loop of the owner's group takes it over.
  case takeover
  /// A loop of another group, with the bit that the owner has in its own, takes it over.
  case farTakeover = "far-takeover"
  /// A loop takes it over and finds an event for it while it is inside.
  case nest
  /// A loop has an event for it, takes it over and deletes it, all by a generation that differs only
  /// above the bits that the word has.
  case alias
  /// Somebody deletes it from outside.
  case delete
  /// Somebody who holds that lock deletes it from outside.
  case lockDelete = "lock-delete"
  /// Somebody disowns it.
  case disown
  /// When the kernel hands the number out again, a loop inserts it.
  case reuse
  /// A loop inserts it, into a slot that is free from the start.
  case insert

  /// Whether the thread is one that the kernel tells about the descriptor.
  var hasEvent: Bool {
    switch self {
    case .event, .lockEvent, .staleEvent, .deleteInside, .alias: true
    default: false
    }
  }

  /// Whether it means something while the number is held by nobody.
  var mayGoWithInsert: Bool {
    switch self {
    case .insert, .event, .takeover: true
    default: false
    }
  }

  var takesOver: Bool {
    switch self {
    case .takeover, .farTakeover, .nest: true
    default: false
    }
  }

  var ends: Bool {
    switch self {
    case .deleteInside, .delete, .lockDelete, .disown: true
    default: false
    }
  }
}
