import FDPoller
import Interleave

// Sleeping and waking: the production mailbox, with threads that post and one that reads, sleeps
// and may stop.

extension ModelParker: Parker {}

/// A mailbox with its consumer and a few producers.
struct MailboxScenario: Sendable {
  let producers: Int
  /// How many letters each of them posts.
  let letters: Int
  /// After so many letters the consumer closes the box; nil if it reads them all.
  var closesAfter: Int?
  /// Whether somebody ends the consumer's wait without a letter.
  var hasSpuriousWake = false

  static let all: [MailboxScenario] = [
    MailboxScenario(producers: 1, letters: 1),
    MailboxScenario(producers: 1, letters: 3),
    MailboxScenario(producers: 1, letters: 2, closesAfter: 0),
    MailboxScenario(producers: 1, letters: 2, closesAfter: 1),
    MailboxScenario(producers: 1, letters: 2, hasSpuriousWake: true),
    MailboxScenario(producers: 2, letters: 1),
    MailboxScenario(producers: 2, letters: 2),
    MailboxScenario(producers: 2, letters: 1, closesAfter: 0),
    MailboxScenario(producers: 2, letters: 2, closesAfter: 1),
    MailboxScenario(producers: 2, letters: 2, hasSpuriousWake: true),
    MailboxScenario(producers: 3, letters: 1),
    MailboxScenario(producers: 3, letters: 1, closesAfter: 1),
  ]

  var name: String {
    "mailbox:\(producers)x\(letters)" + (closesAfter.map { "+close-after-\($0)" } ?? "")
      + (hasSpuriousWake ? "+spurious-wake" : "")
  }

  var scenario: ProofScenario {
    let threads = producers + 1 + (hasSpuriousWake ? 1 : 0)
    return ProofScenario(
      name, threads: threads,
      models: threads < 4 ? ProofScenario.strongAndWeak : [.sequentiallyConsistent]
    ) {
      // A letter's address is a value in the word, so it has to be the same in every execution.
      let letters = (0..<(producers * letters)).map(Letter.init)
      return { ModelMailbox($0, self, letters).setUp() }
    }
  }
}

/// One execution. What a thread keeps count of is its own until the end.
private final class ModelMailbox {
  private let setup: Setup
  private let scenario: MailboxScenario
  private let letters: [Letter<Int>]
  private let mailbox: Mailbox<ModelWord, ModelParker, Int>
  /// What each letter speaks of.
  private let contents: [Cell<Int>]
  /// For each producer how many of its letters were refused, and how often it woke the consumer.
  private var refused: [Int]
  private var wakes: [Int]
  /// For each producer how many of its letters were read.
  private var read: [Int]
  private var sleeps = 0

  init(_ setup: Setup, _ scenario: MailboxScenario, _ letters: [Letter<Int>]) {
    self.setup = setup
    self.scenario = scenario
    self.letters = letters
    mailbox = Mailbox(parker: ModelParker(named: "the eventfd"))
    setup.name(1, "the mailbox") { value in
      switch value {
      case 0: "awake"
      case 1: "asleep"
      case 2: "closed"
      default: "a letter"
      }
    }
    contents = letters.map { _ in Cell(0, named: "what a letter speaks of") }
    let none = [Int](repeating: 0, count: scenario.producers)
    (refused, wakes, read) = (none, none, none)
  }

  func setUp() {
    setup.thread("consumer", consume)
    for producer in 0..<scenario.producers {
      setup.thread("producer \(producer)", symmetry: 1) { self.produce(producer) }
    }
    if scenario.hasSpuriousWake { setup.thread("stranger") { self.mailbox.parker.unpark() } }
    setup.finally(check)
  }

  private func produce(_ producer: Int) {
    for turn in 0..<scenario.letters {
      let number = producer * scenario.letters + turn
      contents[number].value = number
      switch mailbox.post(letters[number]) {
      case .delivered: break
      case .deliveredWaking: wakes[producer] += 1
      case .refused:
        // It is still the producer's.
        contents[number].value = -1
        refused[producer] += 1
      }
      // The places of its letters in the stack are all that it has learnt.
      let counts = UInt64(turn) << 4 | UInt64(wakes[producer]) << 2 | UInt64(refused[producer])
      let posted = letters[(producer * scenario.letters)...number]
      setup.forget(allBut: posted.reduce(counts) { $0 &* 0x9E37_79B9_7F4A_7C15 ^ $1.older })
    }
  }

  private func consume() {
    let end = scenario.closesAfter ?? letters.count
    while read.reduce(0, +) < end {
      readMail(mailbox.take())
      // As a loop does: look again if there is mail, otherwise wait.
      if read.reduce(0, +) < end && mailbox.prepareToSleep() {
        sleeps += 1
        mailbox.parker.park()
      }
      setup.forget(allBut: read.reduce(UInt64(sleeps)) { $0 << 8 | UInt64($1) })
    }
    if scenario.closesAfter != nil { readMail(mailbox.close()) }
  }

  private func readMail(_ mail: consuming Mail<Int>) {
    while let number = mail.popFirst() {
      setup.require(contents[number].value == number, "a letter speaks of something else")
      let (producer, turn) = number.quotientAndRemainder(dividingBy: scenario.letters)
      setup.require(read[producer] == turn, "a producer's letters arrive in another order")
      read[producer] += 1
    }
  }

  private func check() {
    for producer in 0..<scenario.producers {
      setup.require(read[producer] + refused[producer] == scenario.letters, "a letter is lost")
    }
    setup.require(
      scenario.closesAfter != nil || refused.allSatisfy { $0 == 0 },
      "an open mailbox refuses a letter")
    setup.require(
      wakes.reduce(0, +) <= sleeps, "the consumer is woken more often than it sleeps")
  }
}
