import Glibc
import TestKit

/// A running fdproxy.
final class Proxy {
  let program: Program
  /// Of the first --listen, if it has one.
  let port: UInt16

  /// Starts one on a free port and waits until it listens.
  ///
  /// - Parameters:
  ///   - backends: their addresses.
  ///   - arguments: in addition.
  ///   - listen: its address.
  ///   - descriptorLimit: hard and soft, or nil to leave it.
  convenience init(
    to backends: [String], _ arguments: [String] = [], listen: String = "127.0.0.1:0",
    descriptorLimit: Int? = nil
  ) async throws {
    try await self.init(
      ["--mode", "tcp", "--io", TestedBackend.name, "--listen", listen]
        + backends.flatMap { ["--backend", $0] } + arguments, descriptorLimit: descriptorLimit)
  }

  /// Starts one by these arguments alone.
  init(_ arguments: [String], descriptorLimit: Int? = nil) async throws {
    program = try Program(
      try Program.path(of: "fdproxy"), arguments, descriptorLimit: descriptorLimit)
    port = try await program.waitFor("where it listens") { text in
      guard let line = text.split(separator: "\n").first(where: { $0.hasSuffix("listening") })
      else { return nil }
      return line.split(separator: " ").first { $0.hasPrefix("address=") }
        .map { UInt16($0.split(separator: ":").last ?? "") ?? 0 }
    }
  }

  func client() throws -> TestSocket { try TestSocket.connected(to: port) }

  /// The counters that it prints when it is asked for them.
  func report() async throws -> Report {
    let before = program.errorText.utf8.count
    program.send(SIGUSR1)
    return try await program.waitFor("its counters") { _ in
      let text = String(decoding: program.errorText.utf8.dropFirst(before), as: UTF8.self)
      // The last line, complete.
      guard let last = text.firstRange(of: "live descriptors: "),
        text[last.upperBound...].contains("\n")
      else { return nil }
      return Report(text: text)
    }
  }

  /// Waits until the report says so, and returns the last one.
  @discardableResult
  func waitForReport(_ what: String, _ holds: (Report) -> Bool) async throws -> Report {
    var last = try await report()
    let end = ContinuousClock.now + .seconds(30)
    while !holds(last) {
      guard ContinuousClock.now < end else {
        throw Program.Failure.never("reported \(what)", last.text)
      }
      try await Task.sleep(for: .milliseconds(20))
      last = try await report()
    }
    return last
  }

  func end() { program.end() }
}

/// What SIGUSR1 prints.
struct Report {
  let text: String

  /// The number after a word in the line that begins with the given text; -1 if there is none.
  func number(_ word: String, inLineOf start: String) -> Int {
    guard
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix(start) }),
      let found = line.firstRange(of: word + " ")
    else { return -1 }
    return Int(line[found.upperBound...].prefix { $0.isNumber }) ?? -1
  }

  var sessions: Int { number("sessions", inLineOf: "sessions ") }
  var liveDescriptors: Int { number("live descriptors:", inLineOf: "live descriptors: ") }
}
