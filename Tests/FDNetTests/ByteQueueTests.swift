import FDPoller
import Glibc
import TestKit
import Testing

@Suite("The byte queue")
struct ByteQueueTests {
  @Test(
    "whatever is appended and removed, it holds what an array would",
    arguments: 1...8 as ClosedRange<UInt64>)
  func model(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var buffer = ByteQueue()
    var model: [UInt8] = []
    let source = pattern(1 << 16, seed: seed)
    for step in 0..<1000 {
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<5:
        let largest = [0, 1, 10, 4095, 4097, 20_000].randomElement(using: &random) ?? 0
        let count = Int.random(in: 0...largest, using: &random)
        let start = Int.random(in: 0...(source.count - count), using: &random)
        source[start..<start + count].withUnsafeBytes { buffer.append($0) }
        model += source[start..<start + count]
      case 5..<9:
        let most = Bool.random(using: &random) ? model.count : min(model.count, 5000)
        let count = Int.random(in: 0...most, using: &random)
        buffer.removeFirst(count)
        model.removeFirst(count)
      default:
        guard Int.random(in: 0..<10, using: &random) == 0 else { continue }
        buffer.removeAll()
        model = []
      }
      let isSame =
        buffer.count == model.count && buffer.isEmpty == model.isEmpty
        && holds(buffer.bytes, model)
        // Memory only for bytes.
        && (buffer.bytes.baseAddress == nil) == model.isEmpty
      guard isSame else {
        Issue.record("step \(step) of seed \(seed)")
        return
      }
    }
  }

  private func holds(_ bytes: UnsafeRawBufferPointer, _ model: [UInt8]) -> Bool {
    guard let start = bytes.baseAddress, bytes.count == model.count else { return model.isEmpty }
    return memcmp(start, model, model.count) == 0
  }

  @Test("appending nothing takes no memory")
  func nothing() {
    var buffer = ByteQueue()
    buffer.append(UnsafeRawBufferPointer(start: nil, count: 0))
    [UInt8]().withUnsafeBytes { buffer.append($0) }
    buffer.removeFirst(0)
    buffer.removeAll()
    #expect(buffer.isEmpty && buffer.bytes.baseAddress == nil)
  }

  @Test("a stream through a buffer that is never empty stays within twice the most that it held")
  func steadyStream() {
    var buffer = ByteQueue()
    let block = [UInt8](repeating: 1, count: 1000)
    for _ in 0..<10 { block.withUnsafeBytes { buffer.append($0) } }
    var addresses: Set<Int> = []
    for round in 0..<10_000 {
      buffer.removeFirst(1000)
      block.withUnsafeBytes { buffer.append($0) }
      // By then it has all the memory that it needs.
      if round >= 100 { addresses.insert(Int(bitPattern: buffer.bytes.baseAddress)) }
    }
    #expect(buffer.count == 10_000)
    // The bytes walk through one piece of memory and are moved back to its front.
    let span = (addresses.max() ?? 0) - (addresses.min() ?? 0)
    #expect(span <= 40_000, "\(span)")
  }
}
