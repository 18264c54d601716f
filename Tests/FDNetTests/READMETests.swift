import Foundation
import Testing

/// What is shown is what compiles.
@Suite("Documentation")
struct DocumentationTests {
  private static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  private static func text(_ path: String) throws -> String {
    try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
  }

  private static func files(in folder: String, endingWith suffix: String) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: root.appendingPathComponent(folder).path)
      .filter { $0.hasSuffix(suffix) }.map { "\(folder)/\($0)" }
  }

  /// What a page shows as Swift.
  private static func code(in page: String) -> [String] {
    page.components(separatedBy: "```swift\n").dropFirst().compactMap {
      $0.components(separatedBy: "```").first
    }
  }

  @Test("the README shows the echo servers that compile", arguments: [0, 1])
  func readme(index: Int) throws {
    let names = ["EchoServer", "AsyncEchoServer"]
    let snippet = try Self.text("Snippets/\(names[index]).swift")
    #expect(Self.code(in: try Self.text("README.md"))[index] == snippet)
    #expect(snippet.split(separator: "\n").count <= 20)
  }

  @Test("articles show parts of programs that compile")
  func articles() throws {
    let programs = try Self.files(in: "Snippets", endingWith: ".swift").map(Self.text)
    // The explorer's example is a test.
    let pages = try Self.files(in: "Sources", endingWith: ".md").filter {
      !$0.contains("Interleave")
    }
    var count = 0
    for page in pages {
      for part in Self.code(in: try Self.text(page)) {
        #expect(programs.contains { $0.contains(part) }, "\(page) shows:\n\(part)")
        count += 1
      }
    }
    #expect(count > 30)
  }
}
