import Testing

@testable import FDOwnership

@Suite("The ownership word's bits")
struct OwnershipStateTests {
  @Test("a word of all zeros is free, which is what a slot that was never used holds")
  func zero() {
    let state = OwnershipState(rawValue: 0)
    #expect(state.isFree && !state.isSealed)
    #expect(state.fate == .live && state.group == 0 && state.generationBits == 0)
    #expect(state.threads.isEmpty && state.running.isEmpty)
  }

  @Test("each field is read from its own bits and from no others")
  func fields() {
    let thread = OwnershipState(rawValue: 0xFFFF)
    #expect(thread.threads.rawValue == 0xFFFF && thread.running.isEmpty && thread.group == 0)
    let running = OwnershipState(rawValue: 0xFFFF << 16)
    #expect(running.running.rawValue == 0xFFFF && running.threads.isEmpty && running.fate == .live)
    let fate = OwnershipState(rawValue: 0b11 << 32)
    #expect(fate.fate == .sealed && fate.running.isEmpty && fate.group == 0)
    let group = OwnershipState(rawValue: 0x3F << 34)
    #expect(group.group == 63 && group.fate == .live && group.generationBits == 0)
    let generation = OwnershipState(rawValue: 0xFF_FFFF << 40)
    #expect(generation.generationBits == 0xFF_FFFF && generation.group == 0 && generation.isFree)
  }

  @Test("each fate is told from the others")
  func fates() {
    for (bits, fate) in [Fate.live, .condemned, .disowned, .sealed].enumerated() {
      #expect(OwnershipState(rawValue: UInt64(bits) << 32 | 1 << 34).fate == fate)
      #expect(fate.rawValue == UInt64(bits))
    }
  }

  @Test("free and sealed are told from everything that is somebody's")
  func nobodys() {
    #expect(OwnershipState(rawValue: 9 << 40).isFree)
    #expect(OwnershipState(rawValue: 9 << 40 | 3 << 32).isSealed)
    for group in [1, 63] as [UInt64] {
      for fate in 0...2 as ClosedRange<UInt64> {
        let state = OwnershipState(rawValue: 9 << 40 | group << 34 | fate << 32)
        #expect(!state.isFree && !state.isSealed)
      }
    }
  }

  @Test("a state is described in words")
  func description() {
    #expect("\(OwnershipState(rawValue: 7 << 40))" == "free, generation 7")
    #expect("\(OwnershipState(rawValue: 7 << 40 | 3 << 32))" == "sealed, generation 7")
    let live = OwnershipState(rawValue: 7 << 40 | 1 << 34 | 0b100 << 16 | 0b101)
    #expect("\(live)" == "live, generation 7, group 1, threads 0 2, running 2")
    let condemned = OwnershipState(rawValue: 0xFF_FFFF << 40 | 63 << 34 | 1 << 32 | 0x8000 << 16)
    #expect(
      "\(condemned)" == "condemned, generation 16777215, group 63, threads none, running 15")
    let disowned = OwnershipState(rawValue: 2 << 34 | 2 << 32)
    #expect("\(disowned)" == "disowned, generation 0, group 2, threads none, running none")
  }
}

@Suite("A thread's place in the word")
struct ThreadBitTests {
  @Test("every thread of every group keeps its group and index, and has a bit of its own")
  func all() {
    var seen: Set<ThreadBit> = []
    for group in 1...ThreadBit.maximumGroups {
      for index in 0..<ThreadBit.threadsPerGroup {
        let bit = ThreadBit(group: group, index: index)
        #expect(bit.group == group && bit.index == index)
        #expect(bit.mask.rawValue == 1 << UInt16(index) && bit.mask.indices == [index])
        seen.insert(bit)
      }
    }
    #expect(seen.count == 63 * 16)
  }

  @Test("its two bits are the same place of the two masks")
  func bits() {
    let bit = ThreadBit(group: 63, index: 15)
    #expect(bit.threadField == 1 << 15 && bit.runningField == 1 << 31)
    #expect(bit.groupField == 63 << 34)
  }

  @Test("a mask lists its threads, ascending")
  func indices() {
    #expect(ThreadMask(rawValue: 0b1000_0000_0010_0001).indices == [0, 5, 15])
    #expect(ThreadMask(rawValue: 0xFFFF).indices == Array(0..<16))
    #expect(ThreadMask().indices.isEmpty)
  }
}

@Suite("A generation")
struct GenerationTests {
  @Test("has 44 bits and comes round to zero")
  func wraps() {
    #expect(Generation(rawValue: 1 << 44).rawValue == 0)
    #expect(Generation(rawValue: .max).rawValue == 1 << 44 - 1)
    #expect(Generation(rawValue: 1 << 44 - 1).next.rawValue == 0)
    #expect(Generation(rawValue: 41).next.rawValue == 42)
  }

  @Test("puts its low 24 bits into the word and nothing else")
  func field() {
    #expect(Generation(rawValue: 1 << 44 - 1).wordField == 0xFF_FFFF << 40)
    #expect(Generation(rawValue: 1 << 24).wordField == 0)
    #expect(Generation(rawValue: 1 << 24 | 3).wordField == 3 << 40)
  }
}
