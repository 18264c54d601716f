import CShims
import FDDelays
import FDOwnership
import FDPoller
import Glibc
import Synchronization
import SystemPackage

/// The way of one descriptor, round after round:
///
///  1. Its peer writes. Two or three loops take it from each other as fast as they can.
///  2. The last of them takes it for good, and has to hear what was written.
///  3. It wants nothing for a while, though there is something: nobody may be told of it.
///  4. Now and then it is deleted, and another one opened in its place.
///
/// Between the steps it is one loop's, and so are the plain variables here: the letters that bring
/// it from loop to loop order them.
final class Course: @unchecked Sendable {
  let index: Int
  private unowned let field: Triangles
  private let heartbeat: Heartbeat
  private var random: SplitMix
  private var baton: Baton?
  private let nearEnd = Atomic<UInt64>(FDHandle.none.rawValue)
  private var far: Int32 = -1
  private var written = 0
  private let tugging = Atomic<Int>(0)
  private let resting = Atomic<Bool>(false)

  /// Between two looks there is a wait of the loop, which tells of what is ready: an owner who has
  /// heard nothing for so many will never do.
  private static let looksOfPatience = 60

  init(_ index: Int, of field: Triangles) {
    self.index = index
    self.field = field
    heartbeat = field.stage.heartbeat("descriptor \(index)")
    random = field.stage.random(for: "descriptor \(index)")
  }

  /// Callable from any thread.
  var isResting: Bool { resting.load(ordering: .acquiring) }
  /// Exact for whoever has seen that it rests, and on its loop.
  private(set) var near: FDHandle {
    get { FDHandle(rawValue: nearEnd.load(ordering: .relaxed)) }
    set { nearEnd.store(newValue.rawValue, ordering: .relaxed) }
  }

  // MARK: Birth and death

  func open(on loop: EventLoop) {
    var ends: [Int32] = [-1, -1]
    let result = fdp_socketpair(Int32(AF_UNIX), Int32(SOCK_SEQPACKET.rawValue), &ends)
    guard result == 0 else {
      return field.stage.violate(
        "descriptors are to be had", "socketpair says \(Errno(rawValue: -result))")
    }
    let newcomer = Baton(field.newID(), self, on: loop, in: field)
    do {
      near = try loop.insert(FileDescriptor(rawValue: ends[0]), handler: newcomer)
    } catch {
      for end in ends { _ = fdp_close(end) }
      return field.stage.violate(
        "a number that the kernel hands out is free in the table", "\(error)")
    }
    field.departures.open()
    field.descriptors.open()
    (baton, far, written) = (newcomer, ends[1], 0)
    loop.park(near)
    begin(on: loop)
  }

  /// On its home loop, or, after that has ended, anywhere.
  func baton(_ leaver: Baton, hasDepartedOn loop: EventLoop?) {
    _ = fdp_close(far)
    baton = nil
    if let loop, field.stage.isStormy { open(on: loop) } else { rest() }
  }

  private func rest() { resting.store(true, ordering: .releasing) }

  private func write() {
    guard var message = baton?.id else { return }
    if fdp_send(far, &message, 8, 0) == 8 { written += 1 }
  }

  // MARK: 1. The tug of war

  /// It is parked, and nobody else knows of it.
  private func begin(on loop: EventLoop) {
    heartbeat.beat()
    guard field.stage.isStormy else { return rest() }
    write()
    let loops = field.poller.loops
    // The one that has it, and one or two others.
    let step = 1 + Int(random.next() % UInt64(loops.count - 1))
    let count = min(loops.count, 2 + Int(random.next() % 2))
    let team = (0..<count).map { loops[(loop.index + $0 * step) % loops.count] }
    tugging.store(count, ordering: .releasing)
    guard let baton else { return }
    let handle = near
    for member in team {
      let tug = Tug(baton, handle, on: member, SplitMix(seed: random.next()))
      member.run { [self] in
        tug.pull()
        if tugging.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 {
          settle(on: member)
        }
      }
    }
  }

  // MARK: 2. The last owner hears

  private func settle(on loop: EventLoop) {
    guard let baton else { return }
    let result = loop.takeOver(near, wanting: .read) { _ in
      baton.change(to: loop, wanting: true, near)
    }
    guard result == .taken else {
      if result != .busy {
        field.stage.violate("what is parked can be taken over", "\(loop): \(result)", near)
      }
      // The handler runs on another loop.
      loop.run { [self] in settle(on: loop) }
      return
    }
    Chronicle.note("is the last owner of", near.rawValue)
    write()
    listen(on: loop, looks: 0)
  }

  private func listen(on loop: EventLoop, looks: Int) {
    guard let baton else { return }
    guard baton.heard.count < written else { return pause(on: loop) }
    guard looks < Self.looksOfPatience else {
      return field.stage.violate(
        "the last owner hears",
        "\(loop) owns connection \(baton.id) and wants to read, has waited \(looks) times, and "
          + "has heard \(baton.heard.count) of \(written) messages: its kernel poller does not "
          + "watch it", near)
    }
    loop.schedule(after: .milliseconds(looks < 4 ? 1 : 10)) { [self] in
      listen(on: loop, looks: looks + 1)
    }
  }

  // MARK: 3. Nobody is told of what nobody wants

  private func pause(on loop: EventLoop) {
    guard field.stage.isStormy, random.next() % 4 != 0 else { return goOn(on: loop) }
    loop.stop(.read, near)
    baton?.note(isWanted: false)
    write()
    loop.schedule(after: .microseconds(random.next() % 3_000)) { [self] in
      // Told again of what has waited.
      baton?.note(isWanted: true)
      loop.want(.read, near)
      goOn(on: loop)
    }
  }

  // MARK: 4. And again

  private func goOn(on loop: EventLoop) {
    guard random.next() % 16 == 0 && field.stage.isStormy else {
      loop.park(near)
      return begin(on: loop)
    }
    loop.delete(near)
  }
}

/// What one loop does in a tug of war.
private final class Tug: @unchecked Sendable {
  private let baton: Baton
  private let handle: FDHandle
  private let loop: EventLoop
  private var random: SplitMix

  init(_ baton: Baton, _ handle: FDHandle, on loop: EventLoop, _ random: SplitMix) {
    self.baton = baton
    self.handle = handle
    self.loop = loop
    self.random = random
  }

  /// Takes it over again and again, in one tick: the mail that asks to forget it waits meanwhile.
  func pull() {
    for _ in 0..<4 + random.next() % 12 {
      let isWanted = random.next() % 2 == 0
      let result = loop.takeOver(handle, wanting: isWanted ? .read : []) { _ in
        baton.change(to: loop, wanting: isWanted, handle)
      }
      if result == .taken { loop.park(handle) }
      if random.next() % 4 == 0 { sched_yield() }
    }
  }
}
