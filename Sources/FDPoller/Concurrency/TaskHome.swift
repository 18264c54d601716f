import CShims
import Synchronization

/// The loop on which the tasks of an executor run, which may change: what makes the tasks of a
/// connection follow it.
///
/// The loop that it names moves it. A job that a loop finds in its queue although it is not at home
/// there any more is posted on, and one that comes before the move is complete waits for that.
package final class TaskHome: @unchecked Sendable {
  /// The address of the loop. A move's store releases what the former loop has done, which the
  /// loads of others acquire, though a job that they post is ordered by the mailbox as well.
  private let address: Atomic<UInt>
  /// Every loop that was ever named: a thread that has read an address may use it.
  private var visited: [EventLoop]
  // Set by `serve(_:)`, before the first job.

  /// Whose jobs these are.
  private(set) var executor: UnownedTaskExecutor?
  /// The executor itself, which outlives its home's jobs.
  package private(set) unowned(unsafe) var resident: AnyObject?

  /// The new loop's own, written by the former one only before it gives the home away.
  private var isArriving = false
  private var held: [UnownedJob] = []

  /// A home for nobody yet. Callable from any thread.
  package init(on loop: EventLoop) {
    address = Atomic(Self.address(of: loop))
    visited = [loop]
  }

  /// Takes in whose jobs these are. Called once, by who has made it.
  ///
  /// - Parameter executor: owns this object, and passes its jobs to `enqueue`.
  package func serve(_ executor: any TaskExecutor) {
    self.executor = executor.asUnownedTaskExecutor()
    resident = executor
  }

  private static func address(of loop: EventLoop) -> UInt {
    UInt(bitPattern: Unmanaged.passUnretained(loop).toOpaque())
  }

  /// The loop where jobs run now. Callable from any thread; the answer may be old at once, except
  /// on that loop.
  package var loop: EventLoop {
    let pointer = UnsafeRawPointer(bitPattern: address.load(ordering: .acquiring))
    return Unmanaged<EventLoop>.fromOpaque(pointer.unsafelyUnwrapped).takeUnretainedValue()
  }

  /// Whether the home is on that loop. On the loop.
  func isOn(_ loop: EventLoop) -> Bool {
    // Acquiring: a job may have come by an address that was old, and the home after it.
    address.load(ordering: .acquiring) == Self.address(of: loop)
  }

  /// Puts a job into the queue of the loop. Callable from any thread.
  package func enqueue(_ job: UnownedJob) {
    loop.accept(LoopJob(job: job, home: .passUnretained(self)))
  }

  /// Whether the calling thread is that of the loop. Callable from any thread.
  @inline(__always)
  package var isCurrent: Bool {
    // Relaxed: the thread of the loop has acquired it before it ran anything of this home.
    UInt(bitPattern: fdp_current_loop()) == address.load(ordering: .relaxed)
  }

  /// The home of the piece of a task that the calling thread runs; nil if there is none. Callable
  /// from any thread.
  package static var current: TaskHome? { EventLoop.current?.currentHome }

  /// Whether the job has to wait for the end of a move, which will queue it. On the loop.
  func holds(_ job: UnownedJob, on loop: EventLoop) -> Bool {
    // To a loop that has stopped nothing arrives any more.
    guard isArriving, !loop.hasStopped else { return false }
    held.append(job)
    return true
  }

  /// Names another loop; jobs wait there until `arrive()`. On the present loop.
  package func depart(to destination: EventLoop) {
    if !visited.contains(where: { $0 === destination }) { visited.append(destination) }
    isArriving = true
    address.store(Self.address(of: destination), ordering: .releasing)
  }

  /// The move is complete. On the new loop.
  package func arrive() {
    isArriving = false
    for job in held { enqueue(job) }
    held.removeAll()
  }
}
