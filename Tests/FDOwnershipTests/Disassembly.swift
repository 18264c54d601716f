/// One function out of an `objdump` listing, checked as a fast path.
///
/// A fast path is a leaf that only returns: it has at least one atomic read-modify-write
/// instruction, calls nothing, and every jump in it lands on one of its own instructions. A tail
/// call is a jump that leaves, so it is caught as one. Whatever cannot be read counts as a defect,
/// never as harmless.
struct Disassembly {
  enum Architecture {
    case intel
    case arm
  }

  struct Instruction {
    let address: UInt64
    /// What `objdump` prints for it, with single spaces: `lock cmpxchg %rcx,(%rdi)`.
    let text: String
    let effect: Effect
  }

  /// What an instruction means for the check.
  enum Effect: Equatable {
    case plain
    case padding
    case atomic
    case call
    /// A jump to an address, or to one that only the running program knows (`nil`).
    case jump(to: UInt64?, isConditional: Bool)
    case ret
    case trap
    case undecoded
  }

  /// Why a function is no fast path.
  enum Defect: Equatable {
    case unknownArchitecture
    case missingSymbol
    case undecoded(String)
    case noAtomicInstruction
    case call(String)
    case jumpOut(String)
    case indirectJump(String)
    case noReturn
    case runsPastItsEnd
  }

  let instructions: [Instruction]

  /// What is wrong with the function `symbol` of an `objdump --disassemble --no-show-raw-insn`
  /// listing (GNU or LLVM, AT&T syntax): nothing, if it is a fast path.
  static func defects(of symbol: String, in listing: String) -> [Defect] {
    guard let architecture = architecture(of: listing) else { return [.unknownArchitecture] }
    let function = Disassembly(of: symbol, in: listing, architecture)
    return function.instructions.isEmpty ? [.missingSymbol] : function.defects
  }

  /// The architecture that the listing's `file format` line names.
  static func architecture(of listing: String) -> Architecture? {
    guard let line = listing.split(separator: "\n").first(where: { $0.contains("file format") })
    else { return nil }
    if line.hasSuffix("elf64-x86-64") { return .intel }
    if line.hasSuffix("elf64-littleaarch64") { return .arm }
    return nil
  }

  /// Reads the instructions between the symbol's heading and the next one; none if it has no
  /// heading.
  init(of symbol: String, in listing: String, _ architecture: Architecture) {
    let lines = listing.split(separator: "\n")
    guard let heading = lines.firstIndex(where: { Self.symbol(ofHeading: $0) == symbol[...] })
    else {
      instructions = []
      return
    }
    instructions = lines[(heading + 1)...]
      .prefix { Self.symbol(ofHeading: $0) == nil }
      .compactMap { Self.instruction(fromLine: $0, architecture) }
  }

  var defects: [Defect] {
    let own = Set(instructions.map(\.address))
    var found = instructions.compactMap { instruction -> Defect? in
      switch instruction.effect {
      case .call: .call(instruction.text)
      case .undecoded: .undecoded(instruction.text)
      case .jump(nil, _): .indirectJump(instruction.text)
      case .jump(let target?, _) where !own.contains(target): .jumpOut(instruction.text)
      case .jump, .plain, .padding, .atomic, .ret, .trap: nil
      }
    }
    let effects = instructions.map(\.effect)
    if !effects.contains(.atomic) { found.append(.noAtomicInstruction) }
    if !effects.contains(.ret) { found.append(.noReturn) }
    switch effects.last(where: { $0 != .padding }) {
    case .ret, .trap, .jump(_, isConditional: false): break
    default: found.append(.runsPastItsEnd)
    }
    return found
  }
}

// MARK: - Reading lines

extension Disassembly {
  /// The name in a heading, as in `0000000000001360 <fd_probe_enter>:`.
  private static func symbol(ofHeading line: Substring) -> Substring? {
    guard line.hasSuffix(">:"), let bracket = line.firstIndex(of: "<"),
      UInt64(line[..<bracket].dropLast(), radix: 16) != nil
    else { return nil }
    return line[line.index(after: bracket)...].dropLast(2)
  }

  /// An instruction's line, as in `    136e:	lock cmpxchg %rcx,(%rdi)`.
  private static func instruction(
    fromLine line: Substring, _ architecture: Architecture
  ) -> Instruction? {
    guard let colon = line.firstIndex(of: ":"),
      let address = UInt64(line[..<colon].drop(while: \.isWhitespace), radix: 16)
    else { return nil }
    let words = line[line.index(after: colon)...].split(whereSeparator: \.isWhitespace)
    guard !words.isEmpty else { return nil }
    let effect =
      switch architecture {
      case .intel: intelEffect(of: words)
      case .arm: armEffect(of: words[0], operands: words.dropFirst())
      }
    return Instruction(address: address, text: words.joined(separator: " "), effect: effect)
  }

  private static let intelPrefixes: Set<Substring> = [
    "lock", "rep", "repz", "repnz", "bnd", "notrack", "data16", "addr32", "cs", "ds", "es", "ss",
    "fs", "gs", "xacquire", "xrelease",
  ]

  private static func intelEffect(of words: [Substring]) -> Effect {
    let prefixes = words.prefix { intelPrefixes.contains($0) }
    guard let mnemonic = words.dropFirst(prefixes.count).first else { return .undecoded }
    let operands = words.dropFirst(prefixes.count + 1)
    switch mnemonic {
    // A system call leaves the function just as a call does.
    case "syscall", "sysenter", "int": return .call
    case "ud1", "ud2", "hlt", "int3": return .trap
    case "xchg" where operands.first == "%ax,%ax": return .padding
    case _ where mnemonic.hasPrefix("nop"): return .padding
    case _ where mnemonic.hasPrefix("call") || mnemonic.hasPrefix("lcall"): return .call
    case _ where mnemonic.hasPrefix("ret") || mnemonic.hasPrefix("lret"): return .ret
    case _ where mnemonic.hasPrefix("jmp") || mnemonic.hasPrefix("ljmp"):
      return .jump(to: target(in: operands), isConditional: false)
    case _ where mnemonic.hasPrefix("j") || mnemonic.hasPrefix("loop"):
      return .jump(to: target(in: operands), isConditional: true)
    case _ where isUndecoded(mnemonic): return .undecoded
    default: return prefixes.contains("lock") ? .atomic : .plain
    }
  }

  /// Exclusive loads, and the single-instruction forms that ARMv8.1 added.
  private static let armAtomics = [
    "ldxr", "ldaxr", "ldxp", "ldaxp", "cas", "swp", "ldadd", "ldclr", "ldeor", "ldset", "stadd",
    "stclr", "steor", "stset",
  ]

  private static func armEffect(of mnemonic: Substring, operands: ArraySlice<Substring>) -> Effect {
    switch mnemonic {
    case "svc": return .call
    case "brk", "udf", "hlt": return .trap
    case "nop": return .padding
    case "b": return .jump(to: target(in: operands), isConditional: false)
    case "br", "braa", "brab", "braaz", "brabz": return .jump(to: nil, isConditional: false)
    case "tbz", "tbnz": return .jump(to: target(in: operands), isConditional: true)
    case _ where ["b.", "bc.", "cb"].contains(where: mnemonic.hasPrefix):
      return .jump(to: target(in: operands), isConditional: true)
    case _ where mnemonic.hasPrefix("bl"): return .call
    case _ where mnemonic.hasPrefix("ret"): return .ret
    case _ where isUndecoded(mnemonic): return .undecoded
    default: return armAtomics.contains(where: mnemonic.hasPrefix) ? .atomic : .plain
    }
  }

  /// `(bad)`, `<unknown>`, `.inst`: bytes that the disassembler could not name.
  private static func isUndecoded(_ mnemonic: Substring) -> Bool {
    mnemonic.hasPrefix("(") || mnemonic.hasPrefix("<") || mnemonic.hasPrefix(".")
  }

  /// The address that a jump names last, before its `<symbol+offset>` or a comment; nil for a
  /// register or a memory operand.
  private static func target(in operands: ArraySlice<Substring>) -> UInt64? {
    let named = operands.prefix { !$0.hasPrefix("<") && !$0.hasPrefix("//") && $0 != "#" }
    guard let address = named.last else { return nil }
    return UInt64(address.hasPrefix("0x") ? address.dropFirst(2) : address, radix: 16)
  }
}
