/// A response's head as it stands in the bytes. It lives as long as they do, and until its reader
/// reads the next one.
public struct HTTPResponseHead: ~Escapable {
  let bytes: RawSpan
  unowned(unsafe) let reader: HTTPHeadReader

  @_lifetime(copy bytes)
  init(_ bytes: RawSpan, _ reader: HTTPHeadReader) {
    precondition(bytes.byteCount >= reader.end, "bytes other than those that were read")
    self.bytes = bytes
    self.reader = reader
  }

  /// From 100 to 599.
  public var status: HTTPStatus { reader.status }

  /// The phrase behind the status; may be empty.
  public var phrase: RawSpan {
    @_lifetime(copy self) get { bytes.extracting(reader.second) }
  }

  /// 0 or 1.
  public var minorVersion: UInt8 { reader.minorVersion }

  /// The fields in the order in which they came.
  public var fields: HTTPFields {
    @_lifetime(copy self) get { HTTPFields(bytes, reader) }
  }

  /// How long the body is. What follows a 101, or a 2xx that answers CONNECT, is the tunnel's and no
  /// body.
  ///
  /// - Parameter method: of the request that this answers.
  public func framing(answering method: HTTPMethod) -> HTTPFraming {
    if status.isBodiless || method == .head { return .length(0) }
    if method == .connect && status.isSuccessful { return .length(0) }
    if reader.facts.isChunked { return .chunked }
    return reader.facts.contentLength.map(HTTPFraming.length) ?? .untilClose
  }

  /// What Content-Length says, which for an answer to HEAD is not the body's length.
  public var contentLength: UInt64? { reader.facts.contentLength }

  /// Whether Transfer-Encoding is given.
  public var isChunked: Bool { reader.facts.isChunked }

  /// Whether the server waits for another request over the connection (RFC 9112, section 9.3).
  public var keepsAlive: Bool {
    !reader.facts.saysClose && (reader.minorVersion > 0 || reader.facts.saysKeepAlive)
  }
}
