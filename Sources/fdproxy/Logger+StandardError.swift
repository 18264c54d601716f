import Logging

extension Logger {
  static func toStandardError(label: String, level: Level) -> Logger {
    var logger = Logger(label: label) { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = level
    return logger
  }
}
