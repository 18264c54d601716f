import CShims
import FDAtomics
import Glibc
import Synchronization
import TestKit
import Testing

@testable import FDPoller

/// Counts the wake-ups.
private struct CountingParker: ~Copyable, Parker {
  final class Count: Sendable {
    let value = Atomic<Int>(0)
    var now: Int { value.load(ordering: .relaxed) }
  }

  let count = Count()

  borrowing func unpark() { count.value.wrappingAdd(1, ordering: .relaxed) }
}

/// A message that knows how many of its kind there are.
private final class Parcel: @unchecked Sendable {
  static let live = Atomic<Int>(0)

  /// Not atomic: the mailbox has to order it.
  var producer: Int
  var number: Int

  init(producer: Int = 0, number: Int = 0) {
    self.producer = producer
    self.number = number
    Self.live.wrappingAdd(1, ordering: .relaxed)
  }

  deinit { Self.live.wrappingSubtract(1, ordering: .relaxed) }

  static var count: Int { live.load(ordering: .acquiring) }
}

/// A mailbox that threads share.
private final class Shared<Wake: Parker & ~Copyable>: Sendable {
  let mailbox: Mailbox<CustodyWord, Wake, Parcel>

  init(parker: consuming Wake) { mailbox = Mailbox(parker: parker) }

  func post(producer: Int, number: Int) -> Delivery {
    mailbox.post(Letter(Parcel(producer: producer, number: number)))
  }

  func prepareToSleep() -> Bool { mailbox.prepareToSleep() }
}

extension Shared where Wake == CountingParker {
  convenience init() { self.init(parker: CountingParker()) }

  var wakeUps: Int { mailbox.parker.count.now }
}

extension Mail where Message == Parcel {
  fileprivate mutating func numbers() -> [Int] {
    var numbers: [Int] = []
    while let parcel = popFirst() { numbers.append(parcel.number) }
    return numbers
  }
}

@Suite("A mailbox", .serialized)
struct MailboxTests {
  @Test("gives its letters out in the order in which a producer posted them")
  func order() {
    let shared = Shared<CountingParker>()
    for number in 0..<100 { #expect(shared.post(producer: 0, number: number) == .delivered) }
    var mail = shared.mailbox.take()
    #expect(mail.numbers() == Array(0..<100))
    var nothing = shared.mailbox.take()
    #expect(nothing.numbers().isEmpty)
    #expect(Parcel.count == 0)
  }

  @Test("wakes nobody while its consumer is awake")
  func awake() {
    let shared = Shared<CountingParker>()
    for number in 0..<100 { #expect(shared.post(producer: 0, number: number) == .delivered) }
    #expect(shared.wakeUps == 0)
    var mail = shared.mailbox.take()
    #expect(mail.numbers().count == 100)
  }

  @Test("wakes a sleeping consumer once, however many threads post")
  func oneWakeUp() async {
    let shared = Shared<CountingParker>()
    for round in 1...200 {
      #expect(shared.prepareToSleep())
      let waking = Atomic<Int>(0)
      await Crew.run(4) { producer in
        for number in 0..<10 where shared.post(producer: producer, number: number) != .delivered {
          waking.wrappingAdd(1, ordering: .relaxed)
        }
      }
      #expect(waking.load(ordering: .relaxed) == 1)
      #expect(shared.wakeUps == round)
      var mail = shared.mailbox.take()
      #expect(mail.numbers().count == 40)
    }
  }

  @Test("NO_RECHECK: a letter that came after the last look keeps the consumer from sleeping")
  func noRecheck() {
    let shared = Shared<CountingParker>()
    var nothing = shared.mailbox.take()
    #expect(nothing.numbers().isEmpty)
    #expect(shared.post(producer: 0, number: 7) == .delivered)
    #expect(!shared.prepareToSleep())
    #expect(!shared.prepareToSleep(), "not until it is read")
    var mail = shared.mailbox.take()
    #expect(mail.numbers() == [7])
    #expect(shared.prepareToSleep())
  }

  @Test("SLEEP_CLEARED_EARLY: the mark of sleep stays until the consumer reads its mail")
  func sleepClearedEarly() {
    let shared = Shared<CountingParker>()
    #expect(shared.prepareToSleep())
    // Whatever else happens before the wait or ends it, nothing but a letter or a look takes the mark away.
    #expect(!shared.prepareToSleep())
    #expect(shared.post(producer: 0, number: 0) == .deliveredWaking)
    #expect(shared.wakeUps == 1)
    var mail = shared.mailbox.take()
    #expect(mail.numbers() == [0])
    #expect(shared.post(producer: 0, number: 1) == .delivered, "it is awake now")
    mail = shared.mailbox.take()
    #expect(mail.numbers() == [1])
  }

  @Test("WAKER_TRUSTS_ACTIVE: a consumer that was woken and sleeps again is woken again")
  func wakerTrustsActive() {
    let shared = Shared<CountingParker>()
    for round in 1...100 {
      #expect(shared.prepareToSleep())
      #expect(shared.post(producer: 0, number: round) == .deliveredWaking)
      #expect(shared.post(producer: 0, number: -round) == .delivered, "the wake-up is on its way")
      #expect(shared.wakeUps == round)
      var mail = shared.mailbox.take()
      #expect(mail.numbers() == [round, -round])
    }
    // Woken by something else, with nothing in the box.
    #expect(shared.prepareToSleep())
    var nothing = shared.mailbox.take()
    #expect(nothing.numbers().isEmpty)
    #expect(shared.prepareToSleep())
    #expect(shared.post(producer: 0, number: 0) == .deliveredWaking)
    var mail = shared.mailbox.take()
    #expect(mail.numbers() == [0])
  }

  @Test("hands a letter back after it was closed, and wakes nobody")
  func closed() {
    let shared = Shared<CountingParker>()
    _ = shared.prepareToSleep()
    var mail = shared.mailbox.close()
    #expect(mail.numbers().isEmpty)
    do {
      let letter = Letter(Parcel(number: 9))
      let delivery = shared.mailbox.post(letter)
      #expect(delivery == .refused)
      #expect(letter.message.number == 9)
      #expect(Parcel.count == 1)
    }
    #expect(Parcel.count == 0)
    #expect(shared.wakeUps == 0)
    #expect(!shared.prepareToSleep())
  }

  @Test("gives out at its close what was delivered, and refuses the rest, also in a race")
  func closedInARace() async {
    for _ in 0..<100 {
      let shared = Shared<CountingParker>()
      let delivered = Atomic<Int>(0)
      let refused = Atomic<Int>(0)
      let read = Atomic<Int>(0)
      await Crew.run(5) { thread in
        if thread == 0 {
          for _ in 0..<10 { sched_yield() }
          var mail = shared.mailbox.take()
          read.wrappingAdd(mail.numbers().count, ordering: .relaxed)
          mail = shared.mailbox.close()
          read.wrappingAdd(mail.numbers().count, ordering: .relaxed)
        } else {
          for number in 0..<200 {
            switch shared.post(producer: thread, number: number) {
            case .refused: refused.wrappingAdd(1, ordering: .relaxed)
            case .delivered, .deliveredWaking: delivered.wrappingAdd(1, ordering: .relaxed)
            }
          }
        }
      }
      #expect(read.load(ordering: .relaxed) == delivered.load(ordering: .relaxed))
      #expect(delivered.load(ordering: .relaxed) + refused.load(ordering: .relaxed) == 800)
      #expect(Parcel.count == 0)
    }
  }

  @Test("releases the letters that nobody read when it goes itself")
  func dropped() {
    do {
      let shared = Shared<CountingParker>()
      for number in 0..<3 { #expect(shared.post(producer: 0, number: number) == .delivered) }
      #expect(Parcel.count == 3)
    }
    #expect(Parcel.count == 0)
  }
}

// MARK: - A consumer that really sleeps

/// Sleeps as an event loop does: in a kernel poller that watches the parker's eventfd edge-triggered.
private final class Sleeper: Sendable {
  private let epoll = fdp_epoll_create()

  init(_ fd: Int32) {
    let events = EPOLLIN.rawValue | EPOLLET.rawValue
    precondition(epoll >= 0 && fdp_epoll_control(epoll, EPOLL_CTL_ADD, fd, events, 0) == 0)
  }

  deinit { _ = fdp_close(epoll) }

  /// - Returns: false if nobody has woken it within ten seconds.
  func sleep() -> Bool {
    withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: 1) {
      fdp_epoll_wait(epoll, $0.baseAddress, 1, 10_000) != 0
    }
  }
}

extension MailboxTests {
  @Test("loses no wake-up and no letter of eight producers, and keeps the order of each", .ledger)
  func eightProducers() async throws {
    let producers = 8
    let letters = TestRun.isSanitized ? 5_000 : 30_000
    let shared = Shared(parker: try EventFDParker())
    let sleeper = Sleeper(shared.mailbox.parker.fd)
    let acknowledged = (0..<producers).map { _ in Box() }
    let sleeps = Box()
    let wakeUps = Box()
    let wrongOrder = Box()
    let lostWakeUps = Box()
    let seed = UInt64.random(in: 0 ..< .max)

    await Crew.run(producers + 1) { thread in
      guard thread == producers else {
        var random = SeededRandom(seed: seed &+ UInt64(thread))
        for number in 0..<letters {
          if shared.post(producer: thread, number: number) == .deliveredWaking {
            wakeUps.value.wrappingAdd(1, ordering: .relaxed)
          }
          // Now and then it waits for an answer, so that the consumer runs out of mail and sleeps.
          guard random.next() % 16 == 0 else { continue }
          while acknowledged[thread].now <= number && lostWakeUps.now == 0 { sched_yield() }
        }
        return
      }
      var next = [Int](repeating: 0, count: producers)
      var left = producers * letters
      while left > 0 {
        var mail = shared.mailbox.take()
        while let parcel = mail.popFirst() {
          if parcel.number != next[parcel.producer] {
            wrongOrder.value.wrappingAdd(1, ordering: .relaxed)
          }
          next[parcel.producer] = parcel.number + 1
          acknowledged[parcel.producer].value.store(parcel.number + 1, ordering: .relaxed)
          left -= 1
        }
        guard left > 0, shared.prepareToSleep() else { continue }
        sleeps.value.wrappingAdd(1, ordering: .relaxed)
        if !sleeper.sleep() {
          lostWakeUps.value.wrappingAdd(1, ordering: .relaxed)
          return
        }
      }
    }

    var rest = shared.mailbox.close()
    let unread = rest.numbers().count
    #expect(lostWakeUps.now == 0, "seed \(seed)")
    #expect(wrongOrder.now == 0, "seed \(seed)")
    #expect(unread == 0)
    #expect(Parcel.count == 0)
    #expect(sleeps.now > 100, "the consumer has to sleep for this to show anything")
    // The last sleep may have been ended by a late wake-up of the one before.
    #expect(wakeUps.now <= sleeps.now)
    #expect(wakeUps.now > 0)
  }

  private final class Box: Sendable {
    let value = Atomic<Int>(0)
    var now: Int { value.load(ordering: .relaxed) }
  }
}
