import Glibc
import Logging

/// Where text goes that is no log message.
enum StandardStream: Int32 {
  case output = 1
  case error = 2

  /// Writes at once, and in one write(2) if the reader keeps up, so that the lines of several
  /// threads do not mix.
  func write(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var written = 0
      while written < bytes.count {
        let count = Glibc.write(rawValue, bytes.baseAddress! + written, bytes.count - written)
        // A reader that is gone misses the rest.
        guard count > 0 else { return }
        written += count
      }
    }
  }
}

extension Logger {
  static func toStandardError(label: String, level: Level) -> Logger {
    var logger = Logger(label: label) { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = level
    return logger
  }
}
