import TestKit
import Testing

/// The ownership word costs no call: its three fast paths, as the release build compiled them.
///
/// `fdprobes` wraps each of them in a function that is never inlined. FD_BIN_DIR names the
/// directory that holds it, so that a debug or a sanitizer run examines release code all the same.
@Suite struct ReleaseProbes {
  @Test(arguments: ["fd_probe_enter", "fd_probe_leave", "fd_probe_takeover"])
  func `a fast path is one leaf function with an atomic instruction`(probe: String) async throws {
    let binary = try Child.releaseBinary("fdprobes")
    let objdump = try await Ledger.closed {
      try await Child.run(["objdump", "--disassemble=\(probe)", "--no-show-raw-insn", binary])
    }
    #expect(objdump.status == 0, "\(objdump.errors)")
    #expect(Disassembly.defects(of: probe, in: objdump.output) == [], "\(objdump.output)")
  }

  /// What a release binary has of the delays between atomic steps: their module, or calls.
  private func delays(in name: String) async throws -> [Substring] {
    let binary = try Child.releaseBinary(name)
    let objdump = try await Ledger.closed {
      try await Child.run(["objdump", "--disassemble", "--no-show-raw-insn", binary])
    }
    #expect(objdump.status == 0, "\(objdump.errors)")
    // Empty witnesses stay behind, which nobody calls: `delay(at:_:)` is mangled as 5delay2at.
    return objdump.output.split(separator: "\n").filter {
      $0.contains("8FDDelays") || $0.contains("call") && $0.contains("5delay2at")
    }
  }

  @Test func `nothing is left of the delays between atomic steps`() async throws {
    #expect(try await delays(in: "fdproxy").prefix(5) == [])
    #expect(try await delays(in: "fdprobes").prefix(5) == [])
    // They would be seen: the stress harness links their module.
    #expect(try await !delays(in: "fdstress").isEmpty)
  }

  @Test func `the probes do what they are named for`() async throws {
    let binary = try Child.releaseBinary("fdprobes")
    let probes = try await Ledger.closed { try await Child.run([binary]) }
    #expect(probes.status == 0 && probes.output == "the probes work\n")
  }
}

/// The check can fail: each defect, written into a sound listing, is found.
@Suite struct DisassemblyCheck {
  @Test func `a sound listing has no defect`() {
    #expect(Disassembly.defects(of: "fd_probe_enter", in: intelListing) == [])
    #expect(Disassembly.defects(of: "fd_probe_enter", in: armListing) == [])
    #expect(Disassembly.defects(of: "fd_probe_enter", in: armListingWithExclusives) == [])
  }

  @Test(arguments: ["call   1030 <swift_retain@plt>", "call   *%rax", "syscall"])
  func `a call is found on x86-64`(call: String) {
    #expect(intelDefects("or     $0x1,%rcx", call) == [.call(singleSpaced(call))])
  }

  @Test(arguments: ["bl\t8f0 <swift_retain@plt>", "blr\tx8", "svc\t#0x0"])
  func `a call is found on arm64`(call: String) {
    #expect(armDefects("orr\tx9, x8, x1", call) == [.call(singleSpaced(call))])
  }

  @Test(arguments: ["jne    1400 <elsewhere+0x10>", "jmp    1400 <elsewhere+0x10>", "loop 1400"])
  func `a jump out is found on x86-64`(jump: String) {
    #expect(
      intelDefects("jne    1384 <fd_probe_enter+0x24>", jump) == [.jumpOut(singleSpaced(jump))])
  }

  @Test(arguments: [
    "b.ne\ta00 <elsewhere>  // b.any", "cbnz\tw10, a00 <elsewhere>", "tbz\tw9, #3, a00 <elsewhere>",
    "b\t0xa00 <elsewhere>",
  ])
  func `a jump out is found on arm64`(jump: String) {
    #expect(
      armDefects("b.ne\t928 <fd_probe_enter+0x28>  // b.any", jump)
        == [.jumpOut(singleSpaced(jump))])
  }

  @Test func `a tail jump in place of the last return is found`() {
    let intelTail = "jmp    1030 <swift_release@plt>"
    #expect(intelDefects("ret", intelTail) == [.jumpOut(singleSpaced(intelTail)), .noReturn])
    let armTail = "b\t8f0 <swift_release@plt>"
    #expect(armDefects("ret", armTail) == [.jumpOut(singleSpaced(armTail)), .noReturn])
  }

  @Test(arguments: ["jmp    *%rax", "notrack jmp *%rax", "jmp    *0x2fe2(%rip)        # 4010 <x>"])
  func `an indirect jump is found on x86-64`(jump: String) {
    #expect(
      intelDefects("jne    1384 <fd_probe_enter+0x24>", jump)
        == [.indirectJump(singleSpaced(jump))])
  }

  @Test func `an indirect jump is found on arm64`() {
    #expect(armDefects("orr\tx9, x8, x1", "br\tx16") == [.indirectJump("br x16")])
  }

  @Test func `a plain write in place of the atomic one is found`() {
    #expect(
      intelDefects("lock cmpxchg %rcx,(%rdi)", "mov    %rcx,(%rdi)") == [.noAtomicInstruction])
    #expect(armDefects("casa\tx10, x9, [x0]", "str\tx9, [x0]") == [.noAtomicInstruction])
  }

  @Test func `an instruction that nobody could decode is found`() {
    #expect(intelDefects("or     $0x1,%rcx", "(bad)") == [.undecoded("(bad)")])
    #expect(armDefects("orr\tx9, x8, x1", "<unknown>") == [.undecoded("<unknown>")])
  }

  @Test func `a function without a return is found`() {
    #expect(intelDefects("ret", "ud2") == [.noReturn])
    #expect(armDefects("ret", "brk\t#0x1") == [.noReturn])
  }

  @Test func `a function that falls into its neighbour is found`() {
    #expect(intelDefects("ret", "pop    %rbx") == [.noReturn, .runsPastItsEnd])
    #expect(armDefects("ret", "mov\tw0, wzr") == [.noReturn, .runsPastItsEnd])
  }

  @Test func `a missing symbol is found, even when its name is part of another`() {
    #expect(Disassembly.defects(of: "fd_probe_leave", in: intelListing) == [.missingSymbol])
    #expect(Disassembly.defects(of: "fd_probe", in: armListing) == [.missingSymbol])
  }

  @Test func `a listing of another architecture is refused`() {
    let listing = intelListing.replacing("elf64-x86-64", with: "elf64-littleriscv")
    #expect(Disassembly.defects(of: "fd_probe_enter", in: listing) == [.unknownArchitecture])
    #expect(Disassembly.defects(of: "fd_probe_enter", in: "") == [.unknownArchitecture])
  }

  private func intelDefects(_ sound: String, _ broken: String) -> [Disassembly.Defect] {
    defects(replacing: sound, with: broken, in: intelListing)
  }

  private func armDefects(_ sound: String, _ broken: String) -> [Disassembly.Defect] {
    defects(replacing: sound, with: broken, in: armListing)
  }

  /// The defects of a listing in which every `\t<sound>` line of `fd_probe_enter` became another.
  private func defects(
    replacing sound: String, with broken: String, in listing: String
  ) -> [Disassembly.Defect] {
    let changed = listing.replacing("\t\(sound)\n", with: "\t\(broken)\n")
    #expect(changed != listing, "the listing has no such line: \(sound)")
    return Disassembly.defects(of: "fd_probe_enter", in: changed)
  }

  private func singleSpaced(_ text: String) -> String {
    text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }
}

/// The neighbours call and jump out: what they do is not the probe's.
private let intelListing = """
  fdprobes:     file format elf64-x86-64


  Disassembly of section .text:

  0000000000001350 <main>:
      1350:\tcall   1360 <fd_probe_enter>
      1355:\tjmp    1040 <exit@plt>

  0000000000001360 <fd_probe_enter>:
      1360:\tpush   %rbp
      1361:\tmov    %rsp,%rbp
      1364:\tmov    (%rdi),%rax
      1367:\tmov    %rax,%rcx
      136a:\tor     $0x1,%rcx
      136e:\tlock cmpxchg %rcx,(%rdi)
      1373:\tjne    1384 <fd_probe_enter+0x24>
      1375:\tjmp    1367 <fd_probe_enter+0x7>
      1384:\tsete   %al
      1387:\tpop    %rbp
      1388:\tret
      1389:\tdata16 cs nopw 0x0(%rax,%rax,1)

  0000000000001390 <fd_probe_enter_slow>:
      1390:\tcall   *0x2fe2(%rip)        # 4010 <swift_retain>
      1396:\tret

  """

private let armListing = """
  fdprobes:     file format elf64-littleaarch64


  Disassembly of section .text:

  00000000000008fc <main>:
   8fc:\tb\t8f0 <exit@plt>

  0000000000000900 <fd_probe_enter>:
   900:\tldr\tx8, [x0]
   904:\tlsr\tx9, x8, #40
   908:\tcmp\tx9, #0x5
   90c:\tb.ne\t928 <fd_probe_enter+0x28>  // b.any
   910:\torr\tx9, x8, x1
   914:\tmov\tx10, x8
   918:\tcasa\tx10, x9, [x0]
   91c:\tcmp\tx10, x8
   920:\tcset\tw0, eq  // eq = none
   924:\tb\t92c <fd_probe_enter+0x2c>
   928:\tmov\tw0, wzr
   92c:\tret

  0000000000000930 <fd_probe_enter_slow>:
   930:\tbl\t8f0 <swift_retain@plt>
   934:\tret

  """

/// What a processor without ARMv8.1's atomics gets, in LLVM's way of printing it.
private let armListingWithExclusives = """
  fdprobes:\tfile format elf64-littleaarch64

  Disassembly of section .text:

  0000000000000000 <fd_probe_enter>:
         0:      \tldaxr\tx10, [x0]
         4:      \tcmp\tx10, x8
         8:      \tb.ne\t0x18 <fd_probe_enter+0x18>
         c:      \tstxr\tw10, x9, [x0]
        10:      \tcbnz\tw10, 0x0 <fd_probe_enter>
        14:      \tret
        18:      \tclrex
        1c:      \tret

  """
