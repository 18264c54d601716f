import Foundation
import Testing

@Test("the README shows the echo server that compiles")
func readmeShowsTheSnippet() throws {
  let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  let snippet = try String(
    contentsOf: root.appendingPathComponent("Snippets/EchoServer.swift"), encoding: .utf8)
  let readme = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
  let shown = readme.components(separatedBy: "```swift\n").dropFirst().first?
    .components(separatedBy: "```").first
  #expect(shown == snippet)
  #expect(snippet.split(separator: "\n").count <= 20)
}
