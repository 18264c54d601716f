import FDOwnership
import FDPoller
import SplitMask

/// Who guards one incarnation in the arena. Threads are numbered from 0; every call is made by the
/// thread that it names.
protocol ArenaCustody: AnyObject, Sendable, CustomStringConvertible {
  /// The thread has an event.
  func enter(as thread: Int) -> Admission
  /// Not of an incarnation with several owners.
  func takeOver(as thread: Int) -> Admission
  /// - Returns: whether the thread has to close.
  func leave(as thread: Int) -> Bool
  /// The thread is inside. Once for each incarnation, as `delete`.
  func deleteInside(as thread: Int)
  /// - Returns: whether the thread has to close.
  func delete(as thread: Int) -> Bool
}

/// The production source.
final class OneWordCustody: ArenaCustody {
  private let word = Ownership<CustodyWord>()
  private let generation: Generation

  /// - Parameter owners: of one group.
  init(owners: Range<Int>) {
    guard let sealed = word.seal() else { preconditionFailure("a new word is free") }
    generation = sealed
    let mask = owners.reduce(into: ThreadMask()) { $0.formUnion(Self.bit($1).mask) }
    word.publish(group: Self.bit(owners.lowerBound).group, threads: mask)
  }

  private static func bit(_ thread: Int) -> ThreadBit {
    let (group, index) = thread.quotientAndRemainder(dividingBy: ThreadBit.threadsPerGroup)
    return ThreadBit(group: group + 1, index: index)
  }

  func enter(as thread: Int) -> Admission {
    switch word.enter(generation, as: Self.bit(thread)) {
    case .entered: .inside
    case .inside: .covered
    case .lost, .stale: .refused(mustClose: false)
    }
  }

  func takeOver(as thread: Int) -> Admission {
    word.takeOver(generation, as: Self.bit(thread)) == .taken
      ? .inside : .refused(mustClose: false)
  }

  func leave(as thread: Int) -> Bool { word.leave(as: Self.bit(thread)) == .close }

  func deleteInside(as thread: Int) { _ = word.delete(generation) }

  func delete(as thread: Int) -> Bool { word.delete(generation) == .claimed(.close) }

  var description: String { "\(word.state)" }
}

/// The published protocol.
final class SplitMaskArenaCustody: ArenaCustody {
  private let masks: SplitMaskCustody<HardwareMaskWord>

  /// - Parameter pause: called by whoever waits for others, with its number.
  init(owners: Range<Int>, _ defect: SplitMaskDefect?, pause: @escaping @Sendable (Int) -> Void) {
    masks = SplitMaskCustody(defect) { pause($0.rawValue.trailingZeroBitCount) }
    masks.publish(owners.reduce(into: ThreadMask()) { $0.formUnion(Self.mask($1)) })
  }

  private static func mask(_ thread: Int) -> ThreadMask { ThreadMask(rawValue: 1 << thread) }

  func enter(as thread: Int) -> Admission { masks.enter(as: Self.mask(thread)) }
  func takeOver(as thread: Int) -> Admission { masks.takeOver(as: Self.mask(thread)) }
  func leave(as thread: Int) -> Bool { masks.leave(as: Self.mask(thread)) }
  func deleteInside(as thread: Int) { masks.deleteInside() }
  func delete(as thread: Int) -> Bool { masks.delete(as: Self.mask(thread)) }

  var description: String {
    let state = masks.state
    return "running mask \(state.running.indices), thread mask \(state.threads.indices), "
      + (state.mustClose ? "must close" : "must not close")
  }
}
