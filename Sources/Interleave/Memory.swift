/// One store to a location, with what a thread learns that reads it.
struct Store {
  var value: UInt64
  /// What happens before a thread that acquires from this store: what its thread had done if it
  /// released, and what came down its release sequence.
  var clock = Clock()
  var view = View()
  /// It belongs to a read-modify-write, so nothing comes between it and the store before it.
  var follows = false
}

/// The memory of one execution: for each location its modification order, as far as it has been
/// executed. Sequential consistency and total store order keep only the latest store.
struct Memory {
  private struct Location {
    var stores: UnsafeMutablePointer<Store>
    var count = 0
    var name = ""
    var describe: ((UInt64) -> String)?
  }

  /// More stores than this to one location in one execution are an endless loop.
  private static let storesPerLocation = 200

  private let locations: UnsafeMutablePointer<Location>
  private(set) var count = 0
  /// For each location the last sequentially consistent store: what such a load may not miss.
  private var consistent = View()
  private var cells: [CellState] = []
  private var blocks: [BlockState] = []

  init() {
    locations = .allocate(capacity: View.locations)
    for index in 0..<View.locations {
      locations.advanced(by: index).initialize(
        to: Location(stores: .allocate(capacity: Self.storesPerLocation)))
    }
  }

  func deallocate() {
    for index in 0..<View.locations { locations[index].stores.deallocate() }
    locations.deinitialize(count: View.locations).deallocate()
  }

  mutating func reset() {
    count = 0
    consistent = View()
    cells.removeAll(keepingCapacity: true)
    blocks.removeAll(keepingCapacity: true)
  }

  mutating func makeLocation(_ value: UInt64, _ name: String) -> UInt8 {
    precondition(count < View.locations, "a scenario has at most \(View.locations) locations")
    locations[count].count = 1
    locations[count].stores[0] = Store(value: value)
    locations[count].name = name
    locations[count].describe = nil
    count += 1
    return UInt8(count - 1)
  }

  // MARK: Names

  func name(_ location: UInt8) -> String {
    let name = locations[Int(location)].name
    return name.isEmpty ? "word \(location)" : name
  }

  mutating func setName(
    _ location: UInt8, _ name: String, _ describe: ((UInt64) -> String)?
  ) {
    locations[Int(location)].name = name
    locations[Int(location)].describe = describe
  }

  func describe(_ value: UInt64, at location: UInt8) -> String {
    locations[Int(location)].describe?(value) ?? String(value)
  }

  // MARK: Stores

  @inline(__always)
  func latest(_ location: UInt8) -> Store {
    locations[Int(location)].stores[locations[Int(location)].count - 1]
  }

  @inline(__always)
  func storeCount(_ location: UInt8) -> Int { locations[Int(location)].count }

  @inline(__always)
  func store(_ location: UInt8, _ index: Int) -> Store { locations[Int(location)].stores[index] }

  /// Where only the latest store matters.
  @inline(__always)
  func replaceLatest(_ location: UInt8, with store: Store) {
    locations[Int(location)].stores[0] = store
  }

  /// Puts a store into the modification order, before the one that is at that place now. Every view that
  /// points there or beyond moves along.
  ///
  /// - Returns: false if there are too many.
  mutating func insert(
    _ store: Store, _ location: UInt8, at index: Int,
    _ threads: UnsafeMutablePointer<ModelThread>
  ) -> Bool {
    let place = Int(location)
    let stores = locations[place].stores
    guard locations[place].count < Self.storesPerLocation else { return false }
    if index < locations[place].count {
      for later in stride(from: locations[place].count, to: index, by: -1) {
        stores[later] = stores[later - 1]
      }
      func shift(_ view: inout View) {
        if view.positions[place] >= UInt8(index) { view.positions[place] += 1 }
      }
      for thread in 0..<Clock.threads { shift(&threads[thread].view) }
      shift(&consistent)
      for other in 0..<count {
        for entry in 0..<locations[other].count { shift(&locations[other].stores[entry].view) }
      }
    }
    locations[place].count += 1
    stores[index] = store
    stores[index].view.positions[place] = UInt8(index)
    return true
  }

  @inline(__always)
  func lastConsistent(_ location: UInt8) -> Int { Int(consistent.positions[Int(location)]) }

  mutating func noteConsistent(_ location: UInt8, at index: Int) {
    consistent.positions[Int(location)] = max(
      consistent.positions[Int(location)], UInt8(index))
  }

  func latestView() -> View {
    var view = View()
    for location in 0..<count {
      view.positions[location] = UInt8(locations[location].count - 1)
    }
    return view
  }

  func isLatest(_ view: View) -> Bool { view == latestView() }

  // MARK: For the search

  /// For each location the oldest store that some thread may still read.
  func oldestNeeded(_ threads: UnsafeMutablePointer<ModelThread>, _ threadCount: Int) -> View {
    var oldest = latestView()
    for index in 0..<threadCount where threads[index].status != .finished {
      oldest.positions = pointwiseMin(oldest.positions, threads[index].view.positions)
    }
    return oldest
  }

  @inline(__always)
  func relative(_ view: View, to base: View) -> View {
    var relative = View()
    relative.positions = pointwiseMax(view.positions, base.positions) &- base.positions
    return relative
  }

  func mix(into digest: inout Digest, from base: View, wholeHistories: Bool) {
    for location in 0..<count {
      let first = wholeHistories ? Int(base.positions[location]) : 0
      for index in first..<locations[location].count {
        let store = locations[location].stores[index]
        digest.mix(store.value)
        digest.mix(store.clock)
        if wholeHistories {
          digest.mix(relative(store.view, to: base))
          digest.mix(store.follows ? 1 : 0)
        }
      }
      digest.mix(0x10C)
    }
    if wholeHistories { digest.mix(relative(consistent, to: base)) }
    for cell in cells { cell.mix(into: &digest) }
    for block in blocks { block.mix(into: &digest) }
  }
}

// MARK: - Plain data

/// Who has touched a piece of plain data, as a race detector sees it.
struct CellState {
  var lastWriter = Execution.outside
  var lastWrite: UInt16 = 1
  var reads = Clock()
  /// Stands for the value: the writer is deterministic, so what it had observed tells what it wrote.
  var stamp = Digest()

  func mix(into digest: inout Digest) {
    digest.mix(UInt64(lastWriter) << 16 | UInt64(lastWrite))
    digest.mix(reads)
    digest.mix(stamp)
  }
}

/// A block of memory that a scenario allocates and frees by hand.
struct BlockState {
  var isLive = true
  /// Frees and uses are accesses like writes and reads of plain data.
  var cell = CellState()

  func mix(into digest: inout Digest) {
    digest.mix(isLive ? 1 : 2)
    cell.mix(into: &digest)
  }
}

extension Memory {
  mutating func makeCell() -> Int {
    cells.append(CellState())
    return cells.count - 1
  }

  /// - Returns: whom the access races with, or nil.
  mutating func read(_ cell: Int, by thread: inout ModelThread, _ index: Int) -> Int? {
    cells[cell].read(by: &thread, index)
  }

  mutating func write(_ cell: Int, by thread: inout ModelThread, _ index: Int) -> Int? {
    cells[cell].write(by: &thread, index)
  }

  // MARK: Blocks

  /// The lowest block that is free, as an allocator that reuses memory at once would return it.
  mutating func allocate(by thread: inout ModelThread, _ index: Int) -> Int {
    let block: Int
    if let free = blocks.firstIndex(where: { !$0.isLive }) {
      blocks[free].isLive = true
      block = free
    } else {
      blocks.append(BlockState())
      block = blocks.count - 1
    }
    // The allocator orders the free before the next allocation.
    thread.clock.join(blocks[block].cell.reads)
    thread.clock.counts[blocks[block].cell.lastWriter] = max(
      thread.clock.counts[blocks[block].cell.lastWriter], blocks[block].cell.lastWrite)
    _ = blocks[block].cell.write(by: &thread, index)
    thread.history.mix(UInt64(block))
    return block
  }

  /// - Returns: what is wrong with it, or nil.
  mutating func use(_ block: Int, by thread: inout ModelThread, _ index: Int) -> String? {
    guard blocks[block].isLive else { return "use of block \(block) after it was freed" }
    return blocks[block].cell.read(by: &thread, index).map { _ in
      "use of block \(block) races with its allocation"
    }
  }

  mutating func free(_ block: Int, by thread: inout ModelThread, _ index: Int) -> String? {
    guard blocks[block].isLive else { return "block \(block) is freed twice" }
    blocks[block].isLive = false
    return blocks[block].cell.write(by: &thread, index).map { _ in
      "block \(block) is freed while another thread may be using it"
    }
  }

  func leak() -> String? {
    let live = blocks.indices.filter { blocks[$0].isLive }
    return live.isEmpty ? nil : "leak: blocks \(live.map(String.init).joined(separator: ", "))"
  }
}

extension CellState {
  mutating func read(by thread: inout ModelThread, _ index: Int) -> Int? {
    thread.history.mix(stamp)
    defer { reads.counts[index] = thread.clock.counts[index] }
    return thread.clock.counts[lastWriter] >= lastWrite ? nil : lastWriter
  }

  mutating func write(by thread: inout ModelThread, _ index: Int) -> Int? {
    var racer: Int?
    if thread.clock.counts[lastWriter] < lastWrite { racer = lastWriter }
    for reader in 0..<Clock.threads
    where reader != index && thread.clock.counts[reader] < reads.counts[reader] { racer = reader }
    lastWriter = index
    lastWrite = thread.clock.counts[index]
    reads = Clock()
    stamp = thread.history
    stamp.mix(UInt64(index))
    return racer
  }
}
