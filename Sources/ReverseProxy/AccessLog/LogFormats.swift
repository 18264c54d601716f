import FDNet

extension LogLine {
  /// See `AccessLog`. What is missing is `-`.
  mutating func putCombined(_ record: borrowing AccessRecord, second: Int) {
    put(record.client)
    put(" - - [")
    putTime(second, "%d/%b/%Y:%H:%M:%S +0000")
    put("] \"")
    if record.method.isEmpty {
      put("-")
    } else {
      put(record.method, .hexadecimal)
      put(" ")
      put(record.target, .hexadecimal)
      put(" ")
      put(record.version, .hexadecimal)
    }
    put("\" ")
    put(UInt64(record.status), digits: 3)
    put(" ")
    put(record.bytesSent)
    putQuotedField(record.referer)
    putQuotedField(record.userAgent)
    put(" \"")
    if record.backend.isEmpty { put("-") } else { put(record.backend, .hexadecimal) }
    put("\" ")
    putMilliseconds(nanoseconds: record.durationNanoseconds)
    put("\n")
  }

  private mutating func putQuotedField(_ bytes: RawSpan) {
    put(" \"")
    if bytes.isEmpty { put("-") } else { put(bytes, .hexadecimal) }
    put("\"")
  }

  /// See `AccessLog`. What is missing is an empty string.
  mutating func putJSON(_ record: borrowing AccessRecord, second: Int) {
    put("{\"time\":\"")
    putTime(second, "%Y-%m-%dT%H:%M:%SZ")
    put("\",\"client\":\"")
    put(record.client)
    put("\",\"method\":\"")
    put(record.method, .json)
    put("\",\"host\":\"")
    put(record.host, .json)
    put("\",\"target\":\"")
    put(record.target, .json)
    put("\",\"version\":\"")
    put(record.version, .json)
    put("\",\"status\":")
    put(UInt64(record.status))
    put(",\"bytes\":")
    put(record.bytesSent)
    put(",\"milliseconds\":")
    putMilliseconds(nanoseconds: record.durationNanoseconds)
    put(",\"referer\":\"")
    put(record.referer, .json)
    put("\",\"userAgent\":\"")
    put(record.userAgent, .json)
    put("\",\"backend\":\"")
    put(record.backend, .json)
    put("\",\"connection\":\"")
    put(record.connection.rawValue, .json)
    put("\",\"retries\":")
    put(UInt64(clamping: record.retries))
    put("}\n")
  }
}
