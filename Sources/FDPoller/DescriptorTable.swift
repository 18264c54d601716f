import CShims
import FDOwnership

/// The slots of all descriptor numbers: min(RLIMIT_NOFILE, 1 Mi) of them, each a cache line, each
/// page allotted when a number in it is first used.
struct DescriptorTable: ~Copyable {
  static let maximumCount = 1 << Int(FDHandle.numberBits)

  private let slots: LazyArray<Slot>

  /// - Parameter limit: the number of slots; descriptor numbers are below it.
  init(limit: Int) {
    precondition(MemoryLayout<Slot>.stride == 64, "a slot is one cache line")
    slots = LazyArray(count: min(limit, Self.maximumCount))
  }

  var count: Int { slots.count }

  func contains(_ fd: Int32) -> Bool { fd >= 0 && fd < count }

  subscript(fd: Int32) -> Slot {
    @inline(__always)
    unsafeAddress { UnsafePointer(slots.pointer(to: fd)) }
  }

  /// For whoever is alone with the slot and writes its fields.
  func pointer(to fd: Int32) -> UnsafeMutablePointer<Slot> { slots.pointer(to: fd) }
}
