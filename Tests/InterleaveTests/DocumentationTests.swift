import FDAtomics
import Foundation
import Interleave
import Testing

/// The documentation shows what compiles and what comes out.
@Suite("Documentation of Interleave")
struct DocumentationTests {
  private static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  private static func text(_ path: String) throws -> String {
    try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
  }

  /// A page of the catalogue.
  private static func page(_ name: String) throws -> String {
    try text("Sources/Interleave/Interleave.docc/\(name).md")
  }

  /// What a page shows between fences that are opened like this.
  private static func blocks(_ page: String, _ fence: String) -> [String] {
    page.components(separatedBy: fence + "\n").dropFirst().compactMap {
      $0.components(separatedBy: "```").first
    }
  }

  @Test("the article shows the example that compiles and is proved")
  func example() throws {
    let shown = Self.blocks(try Self.page("CheckingYourOwnCode"), "```swift").first
    let example = try Self.text("Tests/InterleaveTests/ExampleTests.swift")
    #expect(shown == example)
    #expect(example.split(separator: "\n").count <= 32)
  }

  /// The example without the line that acquires.
  private struct CarelessReferences: ~Copyable {
    private let count: ModelWord

    init(_ users: UInt64) { count = ModelWord(users) }

    borrowing func leave() -> Bool { count.subtractReleasing(1) == 0 }
  }

  @Test("the article shows the story that a defect in the example has")
  func story() throws {
    let report = Explorer.explore(.init(model: .c11)) { setup in
      let references = CarelessReferences(3)
      setup.name(0, "users left")
      let heap = Heap()
      let object = heap.allocate()
      for user in 1...3 {
        setup.thread("user \(user)", symmetry: 1) {
          heap.use(object)
          if references.leave() { heap.free(object) }
        }
      }
    }
    // All but the figures, which end with a time.
    let story = report.description.split(separator: "\n").dropLast().joined(separator: "\n") + "\n"
    let shown = Self.blocks(try Self.page("CheckingYourOwnCode"), "```text").first
    #expect(shown == story)
  }

  @Test("the landing page names every public type, and pages link to no other")
  func links() throws {
    let sources = Self.root.appendingPathComponent("Sources/Interleave")
    let files = try FileManager.default.contentsOfDirectory(atPath: sources.path)
    let declaration = /(?m)^public (?:final )?(?:struct|class|enum|protocol) (\w+)/
    let types = try files.filter { $0.hasSuffix(".swift") }.flatMap {
      try Self.text("Sources/Interleave/\($0)").matches(of: declaration).map { String($0.1) }
    }
    func linked(_ page: String) throws -> Set<String> {
      Set(try Self.page(page).matches(of: /``(\w+)[^`\n]*``/).map { String($0.1) })
    }
    let landing = try linked("Interleave").subtracting(["Interleave"])
    #expect(landing == Set(types))
    for page in ["CheckingYourOwnCode", "WhatItProves"] {
      let links = try linked(page)
      #expect(!links.isEmpty && links.isSubset(of: landing), "\(page)")
    }
  }
}
