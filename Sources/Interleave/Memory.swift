/// One store to a location, with what a thread learns that reads it.
struct Store {
  var value: UInt64
  /// What happens before a thread that acquires from this store: what its thread had done if it
  /// released, and what came down its release sequence.
  var clock = Clock()
  /// The same, as what may still be read (C11).
  var view = View()
  /// The same, as sequentially consistent operations (C11).
  var consistent = Clock()
  /// It belongs to a read-modify-write, so nothing comes between it and the store before it.
  var follows = false
}

/// The memory of one execution: for each location its modification order, as far as it has been
/// executed. Only C11 keeps more than the latest store, and only of atomic words.
struct Memory {
  private struct Location {
    var stores: UnsafeMutablePointer<Store>
    var count = 0
    /// The thread that made it, and its clock then. Its first value is no atomic store.
    var maker = Execution.outside
    var madeAt = 0
    /// Of a monitor its state. Of a lock what stands for all data that it guards: what its last
    /// holder had observed and done.
    var stamp = Digest()
    var name = ""
    var describe: ((UInt64) -> String)?
  }

  private static let storesPerLocation = View.limit + 1

  private let locations: UnsafeMutablePointer<Location>
  private(set) var count = 0
  var consistent = ConsistentOrder()
  var cells: [CellState] = []
  var blocks: [BlockState] = []

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
    consistent.deallocate()
  }

  mutating func reset() {
    count = 0
    consistent.reset()
    if !cells.isEmpty { cells.removeAll(keepingCapacity: true) }
    if !blocks.isEmpty { blocks.removeAll(keepingCapacity: true) }
  }

  mutating func makeLocation(
    _ value: UInt64, _ name: String, by maker: Int, at madeAt: Int
  ) -> UInt8 {
    guard count < View.locations else {
      fatalError("an execution makes at most \(View.locations) words, locks, parkers and monitors")
    }
    let location = locations.advanced(by: count)
    location.pointee.count = 1
    location.pointee.stores.initialize(to: Store(value: value))
    location.pointee.maker = maker
    location.pointee.madeAt = madeAt
    location.pointee.stamp = Digest()
    location.pointee.name = name
    location.pointee.describe = nil
    count += 1
    return UInt8(truncatingIfNeeded: count - 1)
  }

  /// Whether a thread with that clock knows that the location has been made.
  @inline(__always)
  func isMade(_ location: UInt8, for clock: Clock) -> Bool {
    let place = locations.advanced(by: Int(location))
    return place.pointee.maker == Execution.outside
      || clock[place.pointee.maker] >= place.pointee.madeAt
  }

  // MARK: Names

  func name(_ location: UInt8) -> String {
    guard location < UInt8(count) else { return "the heap" }
    let name = locations[Int(location)].name
    return name.isEmpty ? "word \(location)" : name
  }

  mutating func setName(_ location: UInt8, _ name: String, _ describe: ((UInt64) -> String)?) {
    locations[Int(location)].name = name
    locations[Int(location)].describe = describe
  }

  func describe(_ value: UInt64, at location: UInt8) -> String {
    locations[Int(location)].describe?(value) ?? String(value)
  }

  // MARK: Stores

  @inline(__always)
  func storeCount(_ location: UInt8) -> Int { locations[Int(location)].count }

  @inline(__always)
  func store(_ location: UInt8, _ place: Int) -> UnsafeMutablePointer<Store> {
    locations[Int(location)].stores.advanced(by: place)
  }

  @inline(__always)
  func latest(_ location: UInt8) -> UnsafeMutablePointer<Store> {
    store(location, locations[Int(location)].count &- 1)
  }

  func isFull(_ location: UInt8) -> Bool {
    locations[Int(location)].count == Self.storesPerLocation
  }

  /// Puts a store into the modification order, before the one that is at that place now. Every view
  /// that points there or beyond moves along.
  mutating func insert(
    _ store: Store, _ location: UInt8, at place: Int, _ threads: UnsafeMutablePointer<ModelThread>
  ) {
    let stores = locations[Int(location)].stores
    let end = locations[Int(location)].count
    if place < end {
      for later in stride(from: end, to: place, by: -1) { stores[later] = stores[later - 1] }
      func shift(_ view: inout View) { if view[location] >= place { view[location] += 1 } }
      for thread in 0..<Clock.threads {
        shift(&threads[thread].view)
        shift(&threads[thread].seen)
      }
      for other in 0..<count {
        for entry in 0..<locations[other].count { shift(&locations[other].stores[entry].view) }
      }
      for block in blocks.indices { shift(&blocks[block].freed.view) }
      consistent.shift(location, from: place)
    }
    locations[Int(location)].count = end + 1
    stores[place] = store
    stores[place].view[location] = place
  }

  func stamp(_ location: UInt8) -> Digest { locations[Int(location)].stamp }

  func setStamp(_ location: UInt8, _ stamp: Digest) { locations[Int(location)].stamp = stamp }

  func latestView() -> View {
    var view = View()
    for location in 0..<UInt8(count) { view[location] = storeCount(location) - 1 }
    return view
  }

  // MARK: For the search

  /// For each location the oldest store that some thread may still read.
  func oldestNeeded(_ threads: UnsafeMutablePointer<ModelThread>, _ threadCount: Int) -> View {
    var oldest = latestView()
    for index in 0..<threadCount where threads[index].status != .finished {
      oldest.meet(threads[index].view)
    }
    return oldest
  }

  /// - Parameter base: in C11 the oldest stores that matter; otherwise nil.
  func mix(into digest: inout Digest, from base: View?) {
    for location in 0..<UInt8(count) {
      for place in (base?[location] ?? 0)..<storeCount(location) {
        let store = store(location, place)
        digest.mix(store.pointee.value)
        digest.mix(store.pointee.clock)
        if let base {
          digest.mix(store.pointee.view.relative(to: base))
          digest.mix(store.pointee.consistent)
          digest.mix(store.pointee.follows ? 1 : 0)
        }
      }
      digest.mix(locations[Int(location)].stamp)
    }
    if let base { consistent.mix(into: &digest, from: base) }
    for cell in cells { cell.mix(into: &digest) }
    for block in blocks { block.mix(into: &digest, from: base) }
  }
}
