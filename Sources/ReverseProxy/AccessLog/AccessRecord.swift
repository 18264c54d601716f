package import FDNet

/// What a line of the access log tells of one request. Lives as long as the bytes that it refers to.
///
/// Bytes that are empty stand for what was not there. They may be anything: the log escapes them.
package struct AccessRecord: ~Escapable {
  /// How the request got its connection to the backend.
  package enum BackendConnection: String, Sendable, CaseIterable {
    /// It had none: the proxy has answered by itself.
    case none
    /// It was made for the request.
    case new
    /// It was idle on the same loop.
    case reused
    /// It was idle on another loop.
    case takenOver
  }

  package var client: SocketAddress
  package var method: RawSpan
  package var target: RawSpan
  /// As on the wire, `HTTP/1.1`.
  package var version: RawSpan
  package var host: RawSpan
  package var referer: RawSpan
  package var userAgent: RawSpan
  package var status: UInt16 = 0
  /// Of the body, as they were sent to the client.
  package var bytesSent: UInt64 = 0
  /// From the first byte of the request to the last of the response.
  package var durationNanoseconds: UInt64 = 0
  /// Empty if there was none.
  package var backend = ""
  package var connection = BackendConnection.none
  /// On how many connections more than one the request was tried.
  package var retries = 0

  @_lifetime(immortal)
  package init(client: SocketAddress) {
    self.client = client
    let nothing = RawSpan()
    (method, target, version) = (nothing, nothing, nothing)
    (host, referer, userAgent) = (nothing, nothing, nothing)
  }
}
