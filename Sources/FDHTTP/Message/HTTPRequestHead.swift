/// A request's head as it stands in the bytes. It lives as long as they do, and until its reader
/// reads the next one.
public struct HTTPRequestHead: ~Escapable {
  let bytes: RawSpan
  unowned(unsafe) let reader: HTTPHeadReader

  @_lifetime(copy bytes)
  init(_ bytes: RawSpan, _ reader: HTTPHeadReader) {
    precondition(bytes.byteCount >= reader.end, "bytes other than those that were read")
    self.bytes = bytes
    self.reader = reader
  }

  /// Upper and lower case differ.
  public var method: RawSpan {
    @_lifetime(copy self) get { bytes.extracting(reader.first) }
  }

  /// The method, if it is one of those that RFC 9110 and RFC 5789 define.
  public var knownMethod: HTTPMethod { HTTPMethod(bytes, reader.first) }

  /// As it was sent: in origin form (`/path?query`), absolute form, `*`, or an authority for
  /// CONNECT.
  public var target: RawSpan {
    @_lifetime(copy self) get { bytes.extracting(reader.second) }
  }

  /// Path and query: the target without the scheme and authority of the absolute form. Empty for an
  /// absolute form without a path, and begins with `?` if that has a query: the path is `/`.
  public var pathAndQuery: RawSpan {
    @_lifetime(copy self) get {
      let target = reader.second
      guard byte(bytes, target.lowerBound) != UInt8(ascii: "/"),
        let authority = RequestTarget.authority(bytes, target)
      else { return bytes.extracting(target) }
      return bytes.extracting(authority.upperBound..<target.upperBound)
    }
  }

  /// Where it is to go: the authority of the target, otherwise Host. Empty if an HTTP/1.0 request
  /// names none.
  public var authority: RawSpan {
    @_lifetime(copy self) get {
      if byte(bytes, reader.second.lowerBound) != UInt8(ascii: "/") {
        if knownMethod == .connect { return target }
        if let authority = RequestTarget.authority(bytes, reader.second) {
          return bytes.extracting(authority)
        }
      }
      guard let host = reader.facts.host else { return bytes.extracting(0..<0) }
      return bytes.extracting(reader.fields[host].value)
    }
  }

  /// 0 or 1.
  public var minorVersion: UInt8 { reader.minorVersion }

  /// The fields in the order in which they came.
  public var fields: HTTPFields {
    @_lifetime(copy self) get { HTTPFields(bytes, reader) }
  }

  /// How long the body is.
  public var framing: HTTPFraming {
    if reader.facts.isChunked { return .chunked }
    return .length(reader.facts.contentLength ?? 0)
  }

  /// Whether the client wants to send another request over the connection (RFC 9112, section 9.3).
  public var keepsAlive: Bool {
    !reader.facts.saysClose && (reader.minorVersion > 0 || reader.facts.saysKeepAlive)
  }

  /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110, section
  /// 10.1.1).
  public var expectsContinue: Bool { reader.facts.expectsContinue && reader.minorVersion > 0 }

  /// Whether it asks for another protocol (RFC 9110, section 7.8).
  public var asksForUpgrade: Bool {
    reader.facts.hasUpgrade && reader.facts.saysUpgrade && reader.minorVersion > 0
  }
}

extension HTTPHeadReader {
  /// The request that `readRequest` has just read.
  ///
  /// - Parameter bytes: the same.
  @_lifetime(copy bytes)
  public func request(in bytes: RawSpan) -> HTTPRequestHead { HTTPRequestHead(bytes, self) }

  /// The response that `readResponse` has just read.
  ///
  /// - Parameter bytes: the same.
  @_lifetime(copy bytes)
  public func response(in bytes: RawSpan) -> HTTPResponseHead { HTTPResponseHead(bytes, self) }

  /// The trailer fields that `readTrailers` has just read.
  ///
  /// - Parameter bytes: the same.
  @_lifetime(copy bytes)
  public func trailers(in bytes: RawSpan) -> HTTPFields { HTTPFields(bytes, self) }
}
