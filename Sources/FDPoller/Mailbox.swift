package import FDAtomics

// Many producers, one consumer, no lock, and no wake-up that is lost or superfluous.
//
// One atomic word is the whole mailbox:
//
//     awake     0        the consumer runs, nothing has come
//     asleep    1        the consumer waits, or is about to; nothing has come
//     closed    2        nothing is taken any more
//     a letter  address  the newest letter; each points to the one before it
//
// | who      | change                    | meaning                                               |
// |----------|---------------------------|-------------------------------------------------------|
// | producer | awake or letter -> letter | the consumer will look before it sleeps: no wake-up   |
// | producer | asleep -> letter          | this producer, and no other, wakes the consumer       |
// | consumer | awake -> asleep           | marks and re-checks in one step: fails if there is one|
// | consumer | anything -> awake         | takes all letters at once                             |
// | consumer | anything -> closed        | takes the last letters; later ones are handed back    |
//
// A wake-up cannot be lost: the consumer waits only after the change awake -> asleep, so a letter
// that comes later finds `asleep` and is followed by a wake-up, and one that came earlier makes the
// change fail. It is never superfluous either, except where the consumer woke by itself between a
// producer's change and its wake-up.
//
// The letters are a stack: turned round when taken, so each producer's letters arrive in its order.
//
// Happens-before: a producer's change releases its letter, the taking exchange acquires it. Every
// change between them is a read-modify-write, so the newest letter's value stands for all releases
// below it.

/// Wakes the one consumer of a mailbox, which may be about to wait.
package protocol Parker: ~Copyable, Sendable {
  /// Makes the consumer's present or next wait end at once. Called from any thread.
  borrowing func unpark()
}

/// A message in the making. It exists before the change that it reports, so that nothing can fail
/// after that.
package final class Letter<Message> {
  let message: Message
  /// The letter that was the newest before this one was posted; 0 if there was none.
  @exclusivity(unchecked) package fileprivate(set) var older: UInt64 = 0

  package init(_ message: Message) { self.message = message }
}

/// What a post came to.
package enum Delivery: Sendable {
  case delivered
  /// As `delivered`; the consumer was asleep and has been woken.
  case deliveredWaking
  /// The consumer has stopped; the message is still the caller's.
  case refused
}

/// The inbox of one event loop.
package struct Mailbox<Word: AtomicWord & ~Copyable, Wake: Parker & ~Copyable, Message>: ~Copyable {
  private let newest: Word
  package let parker: Wake

  private static var awake: UInt64 { 0 }
  private static var asleep: UInt64 { 1 }
  private static var closed: UInt64 { 2 }

  package init(parker: consuming Wake) {
    newest = Word(Self.awake)
    self.parker = parker
  }

  /// Puts a letter into the box, and wakes the consumer if it sleeps. Called from any thread.
  package borrowing func post(_ letter: Letter<Message>) -> Delivery {
    let reference = Unmanaged.passRetained(letter)
    let address = UInt64(UInt(bitPattern: reference.toOpaque()))
    var found = newest.loadRelaxed()
    while found != Self.closed {
      letter.older = found == Self.asleep ? Self.awake : found
      Word.delay(at: .post, found)
      // Release: the letter's contents.
      let attempt = newest.weakCompareExchangeReleasing(expected: found, desired: address)
      if attempt.exchanged {
        guard found == Self.asleep else { return .delivered }
        Word.delay(at: .wake, address)
        parker.unpark()
        return .deliveredWaking
      }
      found = attempt.original
    }
    reference.release()
    return .refused
  }

  /// Announces that the consumer is about to wait. Called by the consumer.
  ///
  /// - Returns: false if there is mail: do not wait.
  package borrowing func prepareToSleep() -> Bool {
    Word.delay(at: .sleep, Self.awake)
    let attempt = newest.compareExchangeAcquiring(expected: Self.awake, desired: Self.asleep)
    if attempt.exchanged { Word.delay(at: .afterSleep, Self.asleep) }
    return attempt.exchanged
  }

  /// Takes all letters, oldest first, and marks the consumer awake. Called by the consumer.
  package borrowing func take() -> Mail<Message> {
    // Awake and empty is the usual case on a busy loop: look before the expensive exchange.
    if newest.loadRelaxed() == Self.awake { return Mail(newest: Self.awake) }
    Word.delay(at: .takeMail, Self.awake)
    // Acquire: the letters' contents.
    return Mail(newest: newest.exchangeAcquiring(Self.awake))
  }

  /// As `take()`, and refuses all letters from now on. Called by the consumer, once.
  package borrowing func close() -> Mail<Message> {
    Word.delay(at: .closeMailbox, Self.closed)
    return Mail(newest: newest.exchangeAcquiring(Self.closed))
  }

  /// Letters that nobody has read are dropped.
  deinit {
    var mail = close()
    while mail.popFirst() != nil {}
  }
}

/// Letters that were taken out of a mailbox: a queue, oldest first. Whoever takes it reads it to
/// its end.
package struct Mail<Message>: ~Copyable {
  private var next: Unmanaged<Letter<Message>>?

  /// Turns the stack round.
  fileprivate init(newest: UInt64) {
    var older = newest
    while older > 2 {
      let letter = Unmanaged<Letter<Message>>.fromOpaque(
        UnsafeRawPointer(bitPattern: UInt(older)).unsafelyUnwrapped)
      let before = letter._withUnsafeGuaranteedRef { letter in
        defer { letter.older = next.map { UInt64(UInt(bitPattern: $0.toOpaque())) } ?? 0 }
        return letter.older
      }
      next = letter
      older = before
    }
  }

  package mutating func popFirst() -> Message? {
    guard let letter = next?.takeRetainedValue() else { return nil }
    next = UnsafeRawPointer(bitPattern: UInt(letter.older)).map(Unmanaged.fromOpaque)
    return letter.message
  }

  deinit {
    assert(next == nil, "mail is read to its end")
  }
}
