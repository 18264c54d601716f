import Logging
import TestKit

/// Keeps what is logged.
struct LogBook: LogHandler {
  private let kept = Guarded<[String]>([])
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.trace

  /// The lines so far, with their metadata.
  var lines: [String] { kept.value }
  var logger: Logger { Logger(label: "test") { _ in self } }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let facts = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    kept.withLock { $0.append("\(event.level): \(event.message) \(facts.joined(separator: " "))") }
  }
}
