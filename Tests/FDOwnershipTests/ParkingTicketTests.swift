import FDAtomics
import Synchronization
import TestKit
import Testing

@testable import FDOwnership

private let first = Generation(rawValue: 1 << 44 - 1)
private let second = Generation(rawValue: 0)

@Suite("A parking ticket")
struct ParkingTicketTests {
  @Test("is taken by one loop at a time, and given back")
  func oneAtATime() {
    let ticket = ParkingTicket<HardwareWord>()
    #expect(ticket.isParked(second) == false)
    #expect(ticket.take(second, by: 0) == false)
    ticket.park(second)
    #expect(ticket.isParked(second) == true)
    #expect(ticket.take(second, by: 0) == true)
    #expect(ticket.take(second, by: 0) == false)
    #expect(ticket.take(second, by: 1) == false)
    #expect(ticket.isParked(second) == true, "it is as long as the takeover has not succeeded")
    ticket.giveBack(second, by: 0)
    #expect(ticket.take(second, by: 1007) == true)
    ticket.spend()
    #expect(ticket.isParked(second) == false)
    #expect(ticket.take(second, by: 0) == false)
  }

  @Test("is of one incarnation", arguments: [(first, second), (second, first)])
  func incarnation(mine: Generation, other: Generation) {
    let ticket = ParkingTicket<HardwareWord>()
    ticket.park(mine)
    #expect(ticket.isParked(other) == false)
    #expect(ticket.take(other, by: 3) == false)
    #expect(ticket.isParked(mine) == true)
    ticket.clear()
    #expect(ticket.isParked(mine) == false)
    #expect(ticket.take(mine, by: 3) == false)
  }

  // Fails if a thread gives back what is not the very ticket that it has taken: the number has been
  // closed and used again while it was interrupted.
  @Test("STRANDED_THIEF: one that is given back too late leaves the next incarnation alone")
  func tooLate() {
    let ticket = ParkingTicket<HardwareWord>()
    ticket.park(first)
    #expect(ticket.take(first, by: 1) == true)
    ticket.clear()

    // Another thread tries the next incarnation, and loses as well.
    ticket.park(second)
    #expect(ticket.take(second, by: 2) == true)
    ticket.giveBack(first, by: 1)
    ticket.giveBack(second, by: 2)
    #expect(ticket.take(second, by: 3) == true, "it is parked, and somebody can take it")

    // The next incarnation has been taken over and is in use.
    ticket.spend()
    ticket.giveBack(first, by: 1)
    #expect(ticket.isParked(second) == false)
    #expect(ticket.take(second, by: 2) == false)
    #expect(ticket.isParked(first) == false)
  }

  @Test("orders what each owner did, and lets one in at a time, when threads race for it")
  func race() async {
    final class Guarded: @unchecked Sendable {
      let ticket = ParkingTicket<HardwareWord>()
      /// Plain: whoever has spent the ticket has it alone.
      var visits = 0
    }
    let guarded = Guarded()
    guarded.ticket.park(second)
    let spent = Atomic(0)
    await Crew.run(4) { number in
      var random = SeededRandom(seed: UInt64(number))
      for _ in 0..<5_000 where guarded.ticket.take(second, by: number) {
        if random.next() % 2 == 0 {
          guarded.ticket.giveBack(second, by: number)
        } else {
          guarded.ticket.spend()
          guarded.visits += 1
          spent.wrappingAdd(1, ordering: .relaxed)
          guarded.ticket.park(second)
        }
      }
    }
    #expect(guarded.visits > 0 && guarded.visits == spent.load(ordering: .relaxed))
    #expect(guarded.ticket.isParked(second) == true)
  }
}
