/// Keys in the order of their last use. Every operation takes constant time.
package struct RecencyList<Key: Hashable> {
  private struct Node {
    let key: Key
    var older: Int?
    var newer: Int?
  }

  private var nodes: [Node?] = []
  private var free: [Int] = []
  private var places: [Key: Int] = [:]
  private var oldestPlace: Int?
  private var newestPlace: Int?

  package init() {}

  package var count: Int { places.count }

  /// The key that was used longest ago.
  package var oldest: Key? { oldestPlace.flatMap { nodes[$0]?.key } }

  /// From the one used longest ago to the last one.
  package var oldestFirst: [Key] {
    var keys: [Key] = []
    var next = oldestPlace
    while let place = next {
      guard let node = nodes[place] else { break }
      keys.append(node.key)
      next = node.newer
    }
    return keys
  }

  /// Makes the key the one used last; adds it if it is not in the list.
  package mutating func use(_ key: Key) {
    if newestPlace != nil, places[key] == newestPlace { return }
    remove(key)
    let node = Node(key: key, older: newestPlace, newer: nil)
    let place = free.popLast() ?? nodes.count
    if place == nodes.count { nodes.append(node) } else { nodes[place] = node }
    if let newestPlace { nodes[newestPlace]?.newer = place } else { oldestPlace = place }
    newestPlace = place
    places[key] = place
  }

  /// Does nothing if it is not in the list.
  package mutating func remove(_ key: Key) {
    guard let place = places.removeValue(forKey: key), let node = nodes[place] else { return }
    if let older = node.older { nodes[older]?.newer = node.newer } else { oldestPlace = node.newer }
    if let newer = node.newer { nodes[newer]?.older = node.older } else { newestPlace = node.older }
    nodes[place] = nil
    free.append(place)
  }
}
