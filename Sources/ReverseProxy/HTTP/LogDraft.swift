import FDHTTP

/// What the access log says of a request, kept from its head until it is answered.
struct LogDraft {
  private var bytes: [UInt8]
  private var ends: [6 of Int] = .init(repeating: 0)

  /// - Parameter memory: empty.
  init(_ head: borrowing HTTPRequestHead, in memory: consuming [UInt8]) {
    bytes = memory
    add(head.method, 0)
    add(head.target, 1)
    add(head.authority, 2)
    add(head.fields, .referer, 3)
    add(head.fields, .userAgent, 4)
    ends[5] = Int(head.minorVersion)
  }

  private mutating func add(_ part: borrowing RawSpan, _ index: Int) {
    part.withUnsafeBytes { bytes.append(contentsOf: $0) }
    ends[index] = bytes.count
  }

  private mutating func add(
    _ fields: borrowing HTTPFields, _ name: HTTPFieldName, _ index: Int
  ) {
    if let field = fields.firstIndex(of: name) {
      add(fields.value(at: field), index)
    } else {
      ends[index] = bytes.count
    }
  }

  private static let versions: (StaticString, StaticString) = ("HTTP/1.0", "HTTP/1.1")

  /// Appends a line.
  ///
  /// - Parameter complete: adds what is known only at the end.
  func append(
    to lane: AccessLog.Lane, of session: ProxySession, _ complete: (inout AccessRecord) -> Void
  ) {
    let span = bytes.span.bytes
    var record = AccessRecord(client: session.address)
    record.method = span.extracting(0..<ends[0])
    record.target = span.extracting(ends[0]..<ends[1])
    record.host = span.extracting(ends[1]..<ends[2])
    record.referer = span.extracting(ends[2]..<ends[3])
    record.userAgent = span.extracting(ends[3]..<ends[4])
    let version = ends[5] == 0 ? Self.versions.0 : Self.versions.1
    record.version = RawSpan(_unsafeStart: version.utf8Start, byteCount: 8)
    complete(&record)
    lane.append(record)
  }

  /// The memory, to be used again.
  consuming func memory() -> [UInt8] { bytes }
}
