import Foundation
import TestKit
import Testing

/// The documentation shows what compiles, and what comes out.
@Suite("Hunting a race in one's own server", .serialized)
struct HuntingARaceTests {
  private static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  private static func text(_ path: String) throws -> String {
    try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
  }

  private func example(_ arguments: String...) async throws -> Child {
    let binary = try Child.releaseBinary("HuntARace")
    return try await Ledger.closed { try await Child.run([binary] + arguments) }
  }

  @Test("the page shows parts of the example that compiles")
  func page() throws {
    let page = try Self.text("Stress/StressKit/StressKit.docc/HuntingARace.md")
    let example = try Self.text("Snippets/HuntARace.swift")
    let shown = page.components(separatedBy: "```swift\n").dropFirst().compactMap {
      $0.components(separatedBy: "```").first
    }
    #expect(shown.count == 4)
    for part in shown { #expect(example.contains(part), "\(part)") }
  }

  @Test("the example finds its race, and names the place")
  func careless() async throws {
    let run = try await example("careless")
    #expect(run.status == 1)
    #expect(run.output.contains("a seat is one client's: "))
    #expect(run.output.contains("us ago  the seat is free, and about to be taken"))
    #expect(run.output.hasSuffix("evening: violated\n"))
  }

  @Test("without its race the example is clean")
  func careful() async throws {
    let run = try await example()
    #expect(run.status == 0, "\(run.output)")
    #expect(run.output == "evening: clean\n")
  }
}
