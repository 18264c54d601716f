import CShims

/// A fixed number of zeroed elements that take memory only when they are touched: indexed by
/// descriptor number, of which most are never used.
///
/// All bits zero must be a valid element. Elements are never deinitialised.
struct LazyArray<Element: ~Copyable>: ~Copyable {
  let count: Int
  private let base: UnsafeMutablePointer<Element>

  init(count: Int) {
    let bytes = count * MemoryLayout<Element>.stride
    guard let memory = fdp_map_lazily(bytes) else {
      fatalError("no address space for a table of \(bytes) bytes; lower the limit of descriptors")
    }
    self.count = count
    base = memory.bindMemory(to: Element.self, capacity: count)
  }

  deinit {
    fdp_unmap(base, count * MemoryLayout<Element>.stride)
  }

  /// - Parameter index: below `count`; the caller checks descriptor numbers where they come in.
  @inline(__always)
  func pointer(to index: Int32) -> UnsafeMutablePointer<Element> {
    assert(index >= 0 && index < count)
    return base + Int(index)
  }
}
